// Command clock prints the time, in seconds since 1970, and how long 20 ms took, in milliseconds.
package main

import (
	"fmt"
	"time"
)

func main() {
	start := time.Now()
	time.Sleep(20 * time.Millisecond)
	fmt.Println(time.Now().Unix(), time.Since(start).Milliseconds())
}
