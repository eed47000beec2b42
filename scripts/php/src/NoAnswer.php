<?php

declare(strict_types=1);

namespace Udpush;

/**
 * It was sent, but the answer did not come, or not in time: it may have been published. Published
 * again with the same key, it is published once.
 */
class NoAnswer extends Exception
{
}
