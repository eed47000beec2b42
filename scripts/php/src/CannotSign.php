<?php

declare(strict_types=1);

namespace Udpush;

/** There is no secret to sign tokens with. */
class CannotSign extends Exception
{
}
