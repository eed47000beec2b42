<?php

declare(strict_types=1);

namespace Udpush;

/** It has no JSON form, such as a text that is not UTF-8. The code is json_last_error()'s. */
class CannotEncode extends Exception
{
}
