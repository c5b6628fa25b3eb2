package main

var providerFaults []row
