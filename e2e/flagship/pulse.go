package main

import "time"

// storeTimeout is store.timeout, the default: a verdict that waits longer for Redis is a 503.
const storeTimeout = 100 * time.Millisecond
