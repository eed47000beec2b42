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

/**
 * Signs a token, with which a page may listen for a while: to what a client hears that registers
 * this, or to less. Hand it to none but the user whom it is for. It needs no extension.
 *
 * @param array $registration what may be heard, or a list of such, such as ['department' => 'sales'] or
 *     ['room' => [1, 2]]; [] is everything
 * @param int $seconds for how long
 * @param string|null $file what the server has as --secret-file; without it, the variable
 *     UDPUSH_SECRET_FILE says where it is. The first secret in it signs.
 * @throws RuntimeException when there is no secret
 * @throws JsonException when the array cannot be encoded
 */
function udpush_token(array $registration, int $seconds, ?string $file = null): string
{
    $file ??= getenv('UDPUSH_SECRET_FILE') ?: '';
    $secret = strtok($file === '' ? '' : trim((string) @file_get_contents($file)), "\r\n");
    if ($secret === false) {
        throw new RuntimeException("udpush: there is no secret in the file \"$file\"");
    }
    $encode = fn (string $bytes): string => rtrim(strtr(base64_encode($bytes), '+/', '-_'), '=');
    $isList = isset($registration[0]) && is_array($registration[0]);
    $claims = ['reg' => $isList ? $registration : (object) $registration, 'exp' => time() + $seconds];
    $token = $encode('{"typ":"JWT","alg":"HS256"}') . '.' . $encode(json_encode($claims, JSON_THROW_ON_ERROR));
    return "$token." . $encode(hash_hmac('sha256', $token, trim($secret), true));
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
