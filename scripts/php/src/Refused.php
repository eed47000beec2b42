<?php

declare(strict_types=1);

namespace Udpush;

/**
 * The server refused it, and published nothing: the message is its sentence, the code is the status
 * of HTTP.
 */
class Refused extends Exception
{
}
