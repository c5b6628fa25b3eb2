package main

var redisRefusals []row
