package main

var clusterFaults []row
