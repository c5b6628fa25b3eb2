package main

var processFaults []row
