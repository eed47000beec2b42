<?php

declare(strict_types=1);

namespace Udpush;

/**
 * Pushes messages to the pages that are connected to udpush. It needs no extension but json.
 *
 * A message is anything that has a JSON form: an array, an object, one that is JsonSerializable. A
 * string is JSON already, and is sent as it is; it may hold several documents.
 */
class Publisher
{
    /** The most bytes that a UDP datagram carries. */
    const DATAGRAM = 65507;

    private $server;
    private $timeout;

    /**
     * @param string|null $server host and port, such as "127.0.0.1:7000" or "[::1]:6553". Without it
     *     the first address in the variable UDPUSH_PUBLISH, else 127.0.0.1:6553.
     * @param float $timeout how many seconds any call may take that waits for the server
     */
    public function __construct(?string $server = null, float $timeout = 2.0)
    {
        $this->server = $server ?? explode(',', getenv('UDPUSH_PUBLISH') ?: '127.0.0.1:6553')[0];
        $this->timeout = $timeout;
    }

    /**
     * Sends it in a datagram and goes on: it does not wait, and does not fail when no server runs or
     * the server refuses it. What no datagram holds is sent as publish() does.
     *
     * @param mixed $message
     * @throws CannotEncode
     * @throws CannotSend
     * @throws NoAnswer only of what no datagram holds, and so are the next two
     * @throws Refused
     * @throws TooLarge
     */
    public function push($message): void
    {
        $document = self::encode($message);
        if (strlen($document) > self::DATAGRAM) {
            $this->publish($document);
            return;
        }
        $socket = @stream_socket_client("udp://$this->server", $code, $error, $this->timeout);
        if ($socket === false) {
            throw new CannotSend("udpush: cannot send to $this->server: $error");
        }
        error_clear_last();
        if (@stream_socket_sendto($socket, $document) !== strlen($document)) {
            $error = error_get_last()['message'] ?? 'unknown error';
            throw new CannotSend("udpush: cannot send to $this->server: $error");
        }
    }

    /**
     * Sends it by TCP, and waits for the server's answer: it is published then.
     *
     * @param mixed $message
     * @param string|null $key what is published again with the same key, within ten minutes, is not
     *     published again, and has the first receipt
     * @return Receipt of several documents, the last one's
     * @throws CannotEncode
     * @throws CannotSend
     * @throws NoAnswer
     * @throws Refused
     * @throws TooLarge
     */
    public function publish($message, ?string $key = null): Receipt
    {
        $document = self::encode($message);
        $headers = "Content-Type: application/json\r\nContent-Length: " . strlen($document) . "\r\n";
        if ($key !== null) {
            $headers .= 'Idempotency-Key: ' . rawurlencode($key) . "\r\n";
        }
        $answer = $this->exchange()->ask('POST /', $headers, $document);
        $last = isset($answer['ok']) ? $answer : end($answer);
        return new Receipt($last['id'] ?? null, $last['clients'] ?? 0);
    }

    /**
     * The newest message's id, for the page that is being made: with it as `since`, push.js gets
     * whatever is pushed from now on. Ask before you read what the page shows.
     *
     * @throws CannotSend
     * @throws NoAnswer
     * @throws Refused
     */
    public function id(): string
    {
        $status = $this->exchange()->ask('GET /status');
        if (!is_string($status['newest'] ?? null)) {
            throw new CannotSend("udpush: what listens on $this->server is not udpush");
        }
        return $status['newest'];
    }

    /**
     * Signs a token, with which a page may listen for a while: to what a client hears that registers
     * this, or to less. Hand it to none but the user whom it is for. It does not ask the server.
     *
     * @param array $registration what may be heard, or a list of such: ['department' => 'sales'] or
     *     ['room' => [1, 2]]; [] is everything
     * @param int $seconds for how long
     * @param string|null $file what the server has as --secret-file; without it, the variable
     *     UDPUSH_SECRET_FILE says where it is. The first secret in it signs.
     * @throws CannotEncode
     * @throws CannotSign
     */
    public function token(array $registration, int $seconds, ?string $file = null): string
    {
        $file = $file ?? (getenv('UDPUSH_SECRET_FILE') ?: '');
        $secret = strtok($file === '' ? '' : trim((string) @file_get_contents($file)), "\r\n");
        if ($secret === false) {
            throw new CannotSign("udpush: there is no secret in the file \"$file\"");
        }
        $isList = isset($registration[0]) && is_array($registration[0]);
        $reg = $isList ? $registration : (object) $registration;
        $claims = self::encode(['reg' => $reg, 'exp' => time() + $seconds]);
        $token = self::base64('{"typ":"JWT","alg":"HS256"}') . '.' . self::base64($claims);
        return "$token." . self::base64(hash_hmac('sha256', $token, trim($secret), true));
    }

    /** As in URLs, without padding (RFC 7515, appendix C). */
    private static function base64(string $bytes): string
    {
        return rtrim(strtr(base64_encode($bytes), '+/', '-_'), '=');
    }

    private function exchange(): Exchange
    {
        return new Exchange($this->server, $this->timeout);
    }

    /** @param mixed $message */
    private static function encode($message): string
    {
        if (is_string($message)) {
            return $message;
        }
        $document = json_encode($message, JSON_UNESCAPED_UNICODE | JSON_UNESCAPED_SLASHES);
        if ($document === false) {
            throw new CannotEncode('udpush: it has no JSON form: ' . json_last_error_msg(), json_last_error());
        }
        return $document;
    }
}
