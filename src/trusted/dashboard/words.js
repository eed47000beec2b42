// What the dashboard says, in English and in Chinese, and how it writes sizes and times.

import { clock, locale, speak } from "./language.js";

const ENGLISH = {
  sections: "Sections",
  clients: "Clients",
  log: "Log",
  manual: "Manual",
  live: "Live",
  away: "No answer since {time}. Trying again…",
  refusedHere: "The server refuses: {error}",
  about: "{host} · {version} · up {uptime}",
  online: "Online",
  perSecond: "{what} a second",
  deliveries: "Deliveries",
  refused: "Refused",
  dropped: "Dropped by the kernel",
  slow: "Closed for slowness",
  oneClient: "client {client} ({time})",
  onlineMore: "of {most} at most · plain {plain} · v1 {v1} · events {events}",
  replaying: " · {n} catching up",
  messagesMore: "{n} since the start, {bytes}",
  deliveriesMore: "{n} since the start",
  refusedMore: "{datagrams} datagrams, {documents} documents · {visitors} visitors",
  droppedMore: "datagrams since the start",
  slowMore: "{bytes} of {most} queued now",
  fullAdvice: "Nobody else gets in: raise --max-clients.",
  refusedAdvice: "What is refused is not pushed: correct it at its sender, the log has the reason.",
  visitorsAdvice: "They became no clients: the log says why.",
  droppedAdvice:
    "These are lost: give the kernel’s buffer room as below and start udpush again, or push over TCP, where nothing is dropped.",
  slowAdvice:
    "Look at the network of {which}: v1 and events come again and miss nothing, plain clients missed messages.",
  slowUnknown: "those that the log names",
  inLog: "Show in the log",
  chart: "{what}, the last 10 minutes. Arrow keys read single values.",
  summary: "now {now}, least {least}, most {most}",
  at: "{time}: {value}",
  minutesAgo: "−{n} min",
  now: "now",
  search: "Search clients",
  refresh: "Refresh",
  previous: "Previous",
  next: "Next",
  shown: "{first}–{last} of {all}",
  found: "{n} found|{n} found",
  foundMore: "{first}–{last}, there are more",
  nobody: "Nobody is online.",
  noneFound: "No client is like that.",
  client: "Client",
  address: "Address",
  hears: "Listens to",
  mode: "Mode",
  since: "Since",
  queue: "Queue",
  sent: "Sent",
  seen: "Last seen",
  action: "Action",
  catchingUp: "{mode}, catching up",
  disconnect: "Disconnect",
  cancel: "Cancel",
  disconnectOne: "Disconnect client {client}",
  sure: "Disconnect client {client} ({address})? It is told so (4403).",
  disconnected: "Client {client} is disconnected.",
  gone: "Client {client} was gone already.",
  forClients: "for {n} client|for {n} clients",
  from: "from {from}",
  then: "Pushed from {from}, then for {n} client. Now:|Pushed from {from}, then for {n} clients. Now:",
  lost: "{n} message is not shown: they came too fast for this page.|{n} messages are not shown: they came too fast for this page.",
  document: "A JSON document",
  pushIt: "Push",
  wouldHear: "{n} client hears it|{n} clients hear it",
  others: "and {n} more",
  empty: "Empty, as PHP sees it: nobody would hear it.",
  wouldNot: "Not ({n}): {why}",
  pushed: "Pushed as {id}, for {n} client.|Pushed as {id}, for {n} clients.",
  notSent: "No answer: {error}. Push again; it is not published twice.",
  filter: "Filter the log",
  noneSuch: "None of the last {n} lines has this: the file goes back further.",
  newestLines: "Lines of the log, newest first",
};

const CHINESE = {
  sections: "页面导航",
  clients: "客户端",
  log: "日志",
  manual: "手册",
  live: "实时",
  away: "服务器自 {time} 起没有响应，正在重试…",
  refusedHere: "服务器拒绝了请求：{error}",
  about: "{host} · {version} · 已运行 {uptime}",
  online: "在线客户端",
  perSecond: "每秒{what}数",
  deliveries: "投递",
  refused: "已拒绝",
  dropped: "内核丢弃",
  slow: "因过慢断开",
  oneClient: "客户端 {client}（{time}）",
  onlineMore: "上限 {most} · plain {plain} · v1 {v1} · events {events}",
  replaying: " · {n} 个正在补发",
  messagesMore: "启动以来 {n} 条，共 {bytes}",
  deliveriesMore: "启动以来 {n} 次",
  refusedMore: "数据报 {datagrams} · 文档 {documents} · 访问 {visitors}",
  droppedMore: "启动以来丢弃的数据报",
  slowMore: "当前排队 {bytes}，上限 {most}",
  fullAdvice: "新客户端已无法接入：请调大 --max-clients。",
  refusedAdvice: "被拒绝的内容没有推送出去：原因见日志，请在发送方修正。",
  visitorsAdvice: "这些访问没有成为客户端，原因见日志。",
  droppedAdvice:
    "这些数据报已丢失：请按下面的命令增大内核缓冲区并重启 udpush，或改用 TCP 推送（不会丢弃）。",
  slowAdvice: "请检查{which}的网络：v1 和 events 会自动重连并补齐消息，plain 客户端则漏掉了消息。",
  slowUnknown: "日志中所列客户端",
  inLog: "在日志中查看",
  chart: "{what}，最近 10 分钟。用方向键逐点读取。",
  summary: "当前 {now}，最低 {least}，最高 {most}",
  at: "{time}：{value}",
  minutesAgo: "−{n} 分钟",
  now: "现在",
  search: "搜索客户端",
  refresh: "刷新",
  previous: "上一页",
  next: "下一页",
  shown: "第 {first}–{last} 个，共 {all} 个",
  found: "找到 {n} 个",
  foundMore: "第 {first}–{last} 个，后面还有",
  nobody: "当前没有客户端在线。",
  noneFound: "没有符合条件的客户端。",
  client: "编号",
  address: "地址",
  hears: "订阅",
  mode: "模式",
  since: "上线时间",
  queue: "排队",
  sent: "已发送",
  seen: "最近活动",
  action: "操作",
  catchingUp: "{mode}，补发中",
  disconnect: "断开",
  cancel: "取消",
  disconnectOne: "断开客户端 {client}",
  sure: "确定断开客户端 {client}（{address}）吗？对方会收到关闭代码 4403。",
  disconnected: "客户端 {client} 已断开。",
  gone: "客户端 {client} 早已离线。",
  forClients: "发给 {n} 个客户端",
  from: "来自 {from}",
  then: "来自 {from}，推送时发给 {n} 个客户端。现在：",
  lost: "有 {n} 条消息没有显示：来得太快，页面跟不上。",
  document: "一个 JSON 文档",
  pushIt: "推送",
  wouldHear: "{n} 个客户端会收到",
  others: "另有 {n} 个",
  empty: "按 PHP 的规则这是空值：不会有人收到。",
  wouldNot: "收不到（{n} 个）：{why}",
  pushed: "已推送，编号 {id}，发给 {n} 个客户端。",
  notSent: "没有收到答复：{error}。可以再次推送，不会重复发布。",
  filter: "筛选日志",
  noneSuch: "最近 {n} 行里没有：更早的内容请看日志文件。",
  newestLines: "日志，最新的在前",
};

/** The text of this name, in the page's language. */
export const word = speak(ENGLISH, CHINESE);

const compact = new Intl.NumberFormat(locale, { notation: "compact" });
export const short = (value) => compact.format(value);

const unit = (value, name) =>
  new Intl.NumberFormat(locale, {
    style: "unit",
    unit: name,
    // "0 bytes", "2.2 kB", "5s".
    unitDisplay: name === "byte" ? "long" : name.endsWith("byte") ? "short" : "narrow",
    maximumFractionDigits: value < 10 && name.length > 6 ? 1 : 0,
  }).format(value);

export function bytes(value) {
  const units = ["byte", "kilobyte", "megabyte", "gigabyte", "terabyte"];
  let step = 0;
  while (value >= 1000 && step < units.length - 1) {
    value /= 1000;
    step += 1;
  }
  return unit(value, units[step]);
}

/** The two largest units of so many seconds. */
export function duration(seconds) {
  const steps = [
    ["day", 86400],
    ["hour", 3600],
    ["minute", 60],
    ["second", 1],
  ];
  const first = Math.max(
    steps.findIndex(([, length]) => seconds >= length),
    0,
  );
  if (seconds < 60) return unit(Math.floor(seconds), "second");
  const parts = steps.slice(first, first + 2).map(([name, length], index) => {
    const rest = index ? seconds % steps[first][1] : seconds;
    return unit(Math.floor(rest / length), name);
  });
  return parts.join(" ");
}

const relative = new Intl.RelativeTimeFormat(locale, { style: "narrow", numeric: "always" });
export const ago = (seconds) =>
  seconds < 60
    ? relative.format(-Math.round(seconds), "second")
    : relative.format(-Math.round(seconds / 60), "minute");

const ofYear = new Intl.DateTimeFormat(locale, {
  month: "short",
  day: "numeric",
  hour: "2-digit",
  minute: "2-digit",
  hourCycle: "h23",
});
/** With the day, unless that is today. */
export const moment = (time) =>
  new Date(time).toDateString() === new Date().toDateString()
    ? clock(time)
    : ofYear.format(new Date(time));

/** Where in the text its nth byte is, counted from 1 as the server does. */
export function indexOfByte(text, byte) {
  let index = 0;
  let rest = byte;
  for (const character of text) {
    const code = character.codePointAt(0);
    rest -= code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
    if (rest <= 0) break;
    index += character.length;
  }
  return index;
}
