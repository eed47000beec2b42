<?php

declare(strict_types=1);

namespace Udpush;

/** A document is larger than the server's --max-message, or all of them together than 16 MiB. */
class TooLarge extends Refused
{
}
