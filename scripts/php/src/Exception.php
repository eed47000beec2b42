<?php

declare(strict_types=1);

namespace Udpush;

/**
 * What went wrong; its message begins with "udpush: ". Which one of its kinds it is says whether the
 * message may have been published all the same: only after NoAnswer.
 */
abstract class Exception extends \RuntimeException
{
}
