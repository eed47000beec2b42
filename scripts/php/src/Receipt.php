<?php

declare(strict_types=1);

namespace Udpush;

/** What the server says of a message that it has published. */
class Receipt
{
    /** @var string|null its id; none if it was what PHP calls empty, which is dropped */
    public $id;

    /** @var int for how many clients it was queued */
    public $clients;

    public function __construct(?string $id, int $clients)
    {
        $this->id = $id;
        $this->clients = $clients;
    }
}
