<?php

/**
 * Pushes a message to every browser that is connected to udpush: one UDP datagram.
 *
 * Require this file, or paste its functions into your project. They need PHP 7.2 and no extension but
 * json. With Composer, take the class in php/: it can also say how many got a message.
 *
 * It does not wait, and it does not fail when no server runs: nobody has to hear a push. To be told,
 * give it some milliseconds to wait for the server's refusal; an accepted message has no answer.
 * More than a datagram holds goes by TCP: then it waits for the server, and fails without it.
 *
 * @param mixed $message what json_encode takes: an array, an object, one that is JsonSerializable; a
 *     string is JSON already, sent as it is
 * @param int $wait milliseconds to wait for a refusal, such as 200; by TCP it waits 2000 at least
 * @throws InvalidArgumentException when the message has no JSON form
 * @throws RuntimeException when it cannot be sent, and, with $wait or by TCP, when the server refuses
 *     it or does not run
 */
function udpush($message, int $wait = 0): void
{
    // Where the server takes datagrams. The variable may hold several addresses: the first will do.
    $server = explode(',', getenv('UDPUSH_PUBLISH') ?: '127.0.0.1:6553')[0];

    if (!is_string($message)) {
        $message = json_encode($message, JSON_UNESCAPED_UNICODE | JSON_UNESCAPED_SLASHES);
        if ($message === false) {
            throw new InvalidArgumentException('udpush: it has no JSON form: ' . json_last_error_msg());
        }
    }
    if (strlen($message) > 65507) {
        udpush_ask('/', $message, max($wait, 2000));
        return;
    }
    $socket = @stream_socket_client("udp://$server", $code, $error);
    if ($socket === false) {
        throw new RuntimeException("udpush: cannot send to $server: $error");
    }
    error_clear_last();
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
 * this, or to less. Hand it to none but the user whom it is for. It does not ask the server.
 *
 * @param array $registration what may be heard, or a list of such, such as ['department' => 'sales'] or
 *     ['room' => [1, 2]]; [] is everything
 * @param int $seconds for how long
 * @param string|null $file what the server has as --secret-file; without it, the variable
 *     UDPUSH_SECRET_FILE says where it is. The first secret in it signs.
 * @throws RuntimeException when there is no secret
 * @throws InvalidArgumentException when the array has no JSON form
 */
function udpush_token(array $registration, int $seconds, ?string $file = null): string
{
    $file = $file ?? (getenv('UDPUSH_SECRET_FILE') ?: '');
    $secret = strtok($file === '' ? '' : trim((string) @file_get_contents($file)), "\r\n");
    if ($secret === false) {
        throw new RuntimeException("udpush: there is no secret in the file \"$file\"");
    }
    $isList = isset($registration[0]) && is_array($registration[0]);
    $reg = $isList ? $registration : (object) $registration;
    $claims = json_encode(['reg' => $reg, 'exp' => time() + $seconds]);
    if ($claims === false) {
        throw new InvalidArgumentException('udpush: it has no JSON form: ' . json_last_error_msg());
    }
    $encode = function (string $bytes): string {
        return rtrim(strtr(base64_encode($bytes), '+/', '-_'), '=');
    };
    $token = $encode('{"typ":"JWT","alg":"HS256"}') . '.' . $encode($claims);
    return "$token." . $encode(hash_hmac('sha256', $token, trim($secret), true));
}

/**
 * The newest message's id, for the page that is being made: with it as `since`, push.js gets whatever
 * is pushed from now on. Ask before you read what the page shows.
 *
 * @param int $wait milliseconds to wait for the server
 * @throws RuntimeException when the server does not run, or does not want to tell
 */
function udpush_id(int $wait = 2000): string
{
    return udpush_ask('/status', null, $wait)['newest'];
}

/**
 * What the server answers by HTTP; it is for the functions above.
 *
 * @throws RuntimeException
 */
function udpush_ask(string $path, ?string $document, int $wait): array
{
    $server = explode(',', getenv('UDPUSH_PUBLISH') ?: '127.0.0.1:6553')[0];
    $http = ['timeout' => $wait / 1000, 'ignore_errors' => true, 'follow_location' => 0];
    if ($document !== null) {
        $http += ['method' => 'POST', 'header' => 'Content-Type: application/json', 'content' => $document];
    }
    error_clear_last();
    $answer = @file_get_contents("http://$server$path", false, stream_context_create(['http' => $http]));
    if ($answer === false) {
        $error = error_get_last()['message'] ?? 'unknown error';
        throw new RuntimeException("udpush: cannot send to $server: $error");
    }
    $answer = json_decode($answer, true);
    if (!is_array($answer)) {
        throw new RuntimeException("udpush: what listens on $server is not udpush");
    }
    if (isset($answer['error'])) {
        throw new RuntimeException("udpush: refused: $answer[error]");
    }
    return $answer;
}

// From the command line: php scripts/push.php '{"msg":"hi"}'
if (PHP_SAPI === 'cli' && realpath($_SERVER['SCRIPT_FILENAME']) === __FILE__) {
    if ($argc !== 2) {
        fwrite(STDERR, "usage: php push.php JSON    (or - for JSON on standard input)\n");
        exit(2);
    }
    try {
        udpush($argv[1] === '-' ? stream_get_contents(STDIN) : $argv[1], 200);
    } catch (RuntimeException $failure) {
        fwrite(STDERR, $failure->getMessage() . "\n");
        exit(1);
    }
}
