package main

var redisData []row
