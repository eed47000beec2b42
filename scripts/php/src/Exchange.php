<?php

declare(strict_types=1);

namespace Udpush;

/**
 * A request to port 6553 and its answer, by HTTP/1.0: the answer's end is the connection's. There is
 * one deadline for all of it, however slowly bytes come; PHP's own http:// has one for each read.
 *
 * @internal
 */
final class Exchange
{
    private $server;
    private $deadline;
    private $socket;
    private $unsent;
    private $answer = '';

    /** @param float $timeout in seconds */
    public function __construct(string $server, float $timeout)
    {
        $this->server = $server;
        $this->deadline = microtime(true) + $timeout;
        $this->socket = @stream_socket_client("tcp://$server", $code, $error, $timeout);
        if ($this->socket === false) {
            throw new CannotSend("udpush: cannot send to $server: $error");
        }
        stream_set_blocking($this->socket, false);
    }

    /**
     * @param string $request such as "GET /status"
     * @param string $headers with the line breaks after each
     * @return array what the answer's JSON holds
     */
    public function ask(string $request, string $headers = '', string $body = ''): array
    {
        $this->unsent = "$request HTTP/1.0\r\nHost: $this->server\r\n$headers\r\n$body";
        while (!feof($this->socket)) {
            $this->step();
        }
        fclose($this->socket);
        return $this->read();
    }

    /** Sends and receives what can be now, or waits until something can. */
    private function step(): void
    {
        $readable = [$this->socket];
        $writable = $this->unsent === '' ? null : [$this->socket];
        $except = null;
        $left = $this->deadline - microtime(true);
        if ($left <= 0) {
            throw $this->failure('it took too long');
        }
        // A signal ends the wait, too.
        $ready = @stream_select($readable, $writable, $except, (int) $left, (int) (fmod($left, 1) * 1000000));
        if (!$ready) {
            return;
        }
        if ($writable) {
            $sent = @fwrite($this->socket, substr($this->unsent, 0, 65536));
            // Who refuses a large body does so before its end: then there is an answer to read.
            $this->unsent = $sent ? (string) substr($this->unsent, $sent) : $this->unsent;
        }
        if ($readable) {
            $this->answer .= (string) @fread($this->socket, 65536);
        }
    }

    private function read(): array
    {
        $parts = explode("\r\n\r\n", $this->answer, 2);
        if (!preg_match('~^HTTP/1\.[01] (\d{3}) ~', $parts[0], $status) || !isset($parts[1])) {
            throw $this->failure('the connection ended without an answer');
        }
        if (preg_match('~^Content-Length: *(\d+)~mi', $parts[0], $length) && strlen($parts[1]) < $length[1]) {
            throw $this->failure('the connection ended within the answer');
        }
        $answer = json_decode($parts[1], true);
        if (!is_array($answer)) {
            throw new CannotSend("udpush: what listens on $this->server is not udpush");
        }
        if ($status[1] === '200') {
            return $answer;
        }
        $sentence = 'udpush: refused: ' . ($answer['error'] ?? "HTTP status $status[1]");
        throw $status[1] === '413'
            ? new TooLarge($sentence, 413)
            : new Refused($sentence, (int) $status[1]);
    }

    /** A request that did not leave whole is not carried out. */
    private function failure(string $why): Exception
    {
        return $this->unsent === ''
            ? new NoAnswer("udpush: no answer from $this->server: $why")
            : new CannotSend("udpush: cannot send to $this->server: $why");
    }
}
