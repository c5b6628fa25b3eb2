// Package storetest holds every session store to the contract of package session, and is the test twin of Redis: it starts
// real servers, alone, behind sentinels and as a cluster, and does to them what may happen.
//
// An adapter's test passes a Harness to Run, RunConcurrent, RunFaults and RunWatch. The suites know nothing of Manager: their records are
// sealed bytes that nobody opens.
//
// Servers are processes of their own on free ports of the loopback interface, in a folder of their own. They end with the
// test, whatever becomes of it.
package storetest
