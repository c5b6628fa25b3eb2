package main

var sentinelFaults []row
