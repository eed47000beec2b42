// The language of a page, and how numbers and times are written in it: Chinese where the browser
// asks for it, else English.

const wanted = navigator.languages.find((one) => /^(en|zh)\b/i.test(one)) || "en";
const isChinese = /^zh/i.test(wanted);

/** Of the words, so that they and the numbers go together. */
export const locale = isChinese ? "zh-CN" : wanted;

// What both pages say.
const ENGLISH = {
  connecting: "Connecting…",
  searchHint: "field=value or text  ( / )",
  everything: "everything",
  messages: "Messages",
  newest: "Messages, newest first",
  pause: "Pause",
  goOn: "Go on",
  goOnNew: "Go on ({n} new)",
  clear: "Clear",
  noMessages: "Nothing was pushed yet. Push a message: it appears here.",
  more: " … {n} more character| … {n} more characters",
  push: "Push a test",
  missed: "Messages are missing here: the server was started anew, or no longer has them.",
};

const CHINESE = {
  connecting: "正在连接…",
  searchHint: "字段=值 或任意文字（按 /）",
  everything: "全部",
  messages: "消息",
  newest: "消息，最新的在前",
  pause: "暂停",
  goOn: "继续",
  goOnNew: "继续（{n} 条新消息）",
  clear: "清空",
  noMessages: "还没有消息。推送一条，它就会出现在这里。",
  more: " … 还有 {n} 个字符",
  push: "测试推送",
  missed: "这里缺少一些消息：服务器重启过，或者已不再保留它们。",
};

const numbers = new Intl.NumberFormat(locale, { maximumFractionDigits: 0 });
const tenths = new Intl.NumberFormat(locale, { maximumFractionDigits: 1 });

/** Whole from ten on. */
export const number = (value) => (value < 10 ? tenths : numbers).format(value);

/**
 * A function from a name to its text, in a page that says these words and those that both pages
 * say. `one|many` is chosen by `n`; numbers are written as people do.
 */
export function speak(english, chinese) {
  const words = isChinese ? { ...CHINESE, ...chinese } : { ...ENGLISH, ...english };
  return (name, values = {}) => {
    const [one, many = one] = words[name].split("|");
    return (values.n === 1 ? one : many).replace(/\{(\w+)\}/g, (_, key) => {
      const value = values[key] ?? "–";
      return typeof value === "number" ? number(value) : value;
    });
  };
}

const ofDay = { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" };
const seconds = new Intl.DateTimeFormat(locale, ofDay);
const milliseconds = new Intl.DateTimeFormat(locale, { ...ofDay, fractionalSecondDigits: 3 });

/** The time of day. */
export const clock = (time) => seconds.format(new Date(time));
/** The same, to the millisecond. */
export const fineClock = (time) => milliseconds.format(new Date(time));

/** Puts the words into the page as it was loaded. */
export function translate(root, word) {
  document.documentElement.lang = locale;
  for (const one of root.querySelectorAll("[data-word]")) one.textContent = word(one.dataset.word);
  for (const one of root.querySelectorAll("[data-label]"))
    one.setAttribute("aria-label", word(one.dataset.label));
  for (const one of root.querySelectorAll("[data-hint]")) one.placeholder = word(one.dataset.hint);
  for (const one of root.querySelectorAll("[data-title]")) one.title = word(one.dataset.title);
}
