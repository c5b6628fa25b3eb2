package main

// scenarios are all of them, and the rows that each fills. What the incumbent did is of one run on a quiet machine of two cores, logs off.
func scenarios() []scenario {
	return []scenario{
		{"direct", []row{
			{ID: "direct-rate", Case: "direct /auth, cache warm", Unit: "requests a second, × handler", Incumbent: "0.16", Target: atLeast(.92)},
			{ID: "direct-cpu", Case: "the same", Unit: "CPU of 1,000 verdicts, × handler", Incumbent: "8.1", Target: atMost(1.15)},
			{ID: "direct-allocations", Case: "the same", Unit: "allocations a verdict beyond net/http's", Target: atMost(3)},
			{ID: "direct-redis", Case: "the same", Unit: "Redis commands for 1,000 verdicts", Incumbent: "1,000", Target: atMost(20)},
		}, (*bench).direct},
		{"off", []row{
			{ID: "off-rate", Case: "direct /auth, cache off", Unit: "requests a second, × (handler + GET)", Incumbent: "0.38", Target: atLeast(1.25)},
			{ID: "off-cpu", Case: "the same", Unit: "CPU of 1,000 verdicts, × (handler + GET)", Incumbent: "3.1", Target: atMost(.80)},
		}, (*bench).uncached},
		{"nginx", []row{
			{ID: "nginx-rate", Case: "through nginx, cache warm", Unit: "requests a second, × (nginx + handler)", Incumbent: "0.35", Target: atLeast(.95)},
		}, (*bench).throughNginx},
		{"micro", []row{
			{ID: "micro-rate", Case: "through nginx, micro-cache of 1 s", Unit: "requests a second, × without auth", Incumbent: "0.14", Target: atLeast(.60)},
		}, (*bench).microCache},
		{"features", []row{
			{ID: "features", Case: "rules, CEL, headers and assertion", Unit: "added CPU, × a plain verdict", Target: atMost(.10)},
		}, (*bench).features},
		{"saturation", []row{
			{ID: "saturation", Case: "256 connections, cache off, Redis well", Unit: "verdicts Unavailable", Target: atMost(0)},
		}, (*bench).saturation},
		{"bytes", []row{
			{ID: "bytes-default", Case: "Redis bytes per session, default settings", Unit: "× incumbent", Incumbent: "3,338 bytes", Target: atMost(.70)},
			{ID: "bytes-tokens", Case: "the same, every token kept", Unit: "× incumbent", Incumbent: "3,338 bytes", Target: atMost(.90)},
			{ID: "bytes-identity", Case: "the same, no tokens kept", Unit: "bytes", Target: atMost(1300)},
		}, (*bench).redisBytes},
		{"growth", []row{
			{ID: "growth-off", Case: "many sessions against 1,000, cache off", Unit: "CPU of a verdict, ×", Target: atMost(1.05)},
			{ID: "growth-warm", Case: "the same, cache warm", Unit: "CPU of a verdict, ×", Target: atMost(1.05)},
		}, (*bench).growth},
		{"memory", []row{
			{ID: "memory-idle", Case: "resident memory, idle", Unit: "MiB", Incumbent: "21", Target: atMost(idleMemory / mebibyte)},
			{ID: "memory-cached", Case: "100,000 sessions in the cache", Unit: "bytes above the record each", Target: atMost(bytesBeyond)},
		}, (*bench).memory},
		{"due", []row{
			{ID: "due", Case: "p99 while 15,000 a minute fall due", Unit: "× the quiet one", Incumbent: "users refused", Target: atMost(1.5)},
		}, (*bench).fallingDue},
		{"start", []row{
			{ID: "start-up", Case: "start to ready, provider up", Unit: "ms", Incumbent: "17–41", Target: atMost(30)},
			{ID: "start-down", Case: "start to ready, provider down", Unit: "ms", Target: atMost(30)},
		}, (*bench).starts},
	}
}
