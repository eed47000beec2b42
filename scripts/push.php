<?php

/**
 * Pushes a message to every browser that is connected to udpush: one UDP datagram.
 *
 * Paste this function into your project, or require this file. It needs PHP 8.0 and no extension.
 *
 * It does not wait, and it does not fail when no server runs: nobody has to hear a push. To be told,
 * give it some milliseconds to wait for the server's refusal; an accepted message has no answer.
 *
 * @param array|string $message an array is encoded as JSON; a string is JSON already, sent as it is
 * @param int $wait milliseconds to wait for a refusal, such as 200
 * @throws JsonException when the array cannot be encoded
 * @throws LengthException when the JSON is larger than one datagram
 * @throws RuntimeException when it cannot be sent, and, with $wait, when the server refuses it or
 *     does not run
 */
function udpush(array|string $message, int $wait = 0): void
{
    // Where the server takes datagrams. The variable may hold several addresses: the first will do.
    $server = explode(',', getenv('UDPUSH_PUBLISH') ?: '127.0.0.1:6553')[0];

    if (is_array($message)) {
        $message = json_encode($message, JSON_THROW_ON_ERROR | JSON_UNESCAPED_UNICODE | JSON_UNESCAPED_SLASHES);
    }
    if (strlen($message) > 65507) {
        throw new LengthException(
            'udpush: the message is ' . strlen($message) . ' bytes, a UDP datagram holds at most 65507'
        );
    }
    $socket = @stream_socket_client("udp://$server", $code, $error);
    if ($socket === false) {
        throw new RuntimeException("udpush: cannot send to $server: $error");
    }
    if (@stream_socket_sendto($socket, $message) !== strlen($message)) {
        $error = error_get_last()['message'] ?? 'unknown error';
        throw new RuntimeException("udpush: cannot send to $server: $error");
    }
    if ($wait > 0) {
        $readable = [$socket];
        $none = null;
        if (stream_select($readable, $none, $none, intdiv($wait, 1000), $wait % 1000 * 1000) === 1) {
            $refusal = (string) @stream_socket_recvfrom($socket, 2048);
            throw new RuntimeException(trim($refusal) ?: "udpush: nobody listens on $server");
        }
    }
}

// From the command line: php scripts/push.php '{"msg":"hi"}'
if (PHP_SAPI === 'cli' && realpath($_SERVER['SCRIPT_FILENAME']) === __FILE__) {
    if ($argc !== 2) {
        fwrite(STDERR, "usage: php push.php JSON    (or - for JSON on standard input)\n");
        exit(2);
    }
    try {
        udpush($argv[1] === '-' ? stream_get_contents(STDIN) : $argv[1], 200);
    } catch (RuntimeException | LengthException $failure) {
        fwrite(STDERR, $failure->getMessage() . "\n");
        exit(1);
    }
}
