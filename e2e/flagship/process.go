package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"
)

// stopLimit is how long a process has to leave after SIGTERM before it is killed.
const stopLimit = 10 * time.Second

// process is a program that the flagship runs. It has a process group of its own, so that Ctrl-C reaches the flagship alone, which then
// stops the parts in order.
type process struct {
	name, log string
	cmd       *exec.Cmd
	done      chan struct{} // closed when it has ended
	err       error         // how; read it after done
}

// spawn starts a program; what it writes is added to NAME.log in the folder.
func spawn(dir, name string, cmd *exec.Cmd) (*process, error) {
	p := &process{name: name, log: filepath.Join(dir, name+".log"), cmd: cmd, done: make(chan struct{})}
	log, err := os.OpenFile(p.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	defer log.Close() // the program has its own copy
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	go func() {
		p.err = cmd.Wait()
		close(p.done)
	}()
	return p, nil
}

func (p *process) signal(signal syscall.Signal) error {
	if err := p.cmd.Process.Signal(signal); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("%s: %v: %w", p.name, signal, err)
	}
	return nil
}

// kill ends the process as a crash does, and returns when it is gone.
func (p *process) kill() error {
	err := p.signal(syscall.SIGKILL)
	if err == nil {
		<-p.done
	}
	return err
}

// stop ends the process, kindly first, and returns when it is gone.
func (p *process) stop() error {
	if err := errors.Join(p.signal(syscall.SIGTERM), p.signal(syscall.SIGCONT)); err != nil {
		return err
	}
	limit := time.NewTimer(stopLimit)
	defer limit.Stop()
	select {
	case <-p.done:
		return nil
	case <-limit.C:
	}
	return errors.Join(fmt.Errorf("%s did not leave within %v and was killed; it wrote %s", p.name, stopLimit, p.log), p.kill())
}

// await asks ready until it says nil, the process has ended, or the time is over.
func (p *process) await(ctx context.Context, limit time.Duration, ready func(context.Context) error) error {
	err := waitFor(ctx, limit, func(ctx context.Context) error {
		select {
		case <-p.done:
			return fmt.Errorf("it ended at once: %v", p.err)
		default:
			return ready(ctx)
		}
	})
	if err != nil {
		return fmt.Errorf("%s is not ready: %w\n%s", p.name, err, p.wrote())
	}
	return nil
}

// wrote is the end of what the process wrote.
func (p *process) wrote() string {
	text, err := os.ReadFile(p.log)
	if err != nil {
		return err.Error()
	}
	return string(text[max(0, len(text)-2000):])
}

// waitFor asks until the answer is nil; when the time is over, it returns the last answer.
func waitFor(ctx context.Context, limit time.Duration, state func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	again := time.NewTicker(20 * time.Millisecond)
	defer again.Stop()
	for {
		err := state(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-again.C:
		case <-ctx.Done():
			return fmt.Errorf("after %v: %w", limit, err)
		}
	}
}

// pass lets time pass; it returns sooner when ctx ends.
func pass(ctx context.Context, until time.Time) {
	timer := time.NewTimer(time.Until(until))
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
