<?php

declare(strict_types=1);

namespace Udpush;

/** It did not get to the server: nobody listens there, or not in time. Nothing was published. */
class CannotSend extends Exception
{
}
