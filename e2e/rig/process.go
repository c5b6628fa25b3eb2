package rig

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

// Process is a program that a rig runs. It has a process group of its own, so that Ctrl-C reaches the rig's program alone, which then
// stops the parts in order. Its methods are safe for concurrent use.
type Process struct {
	// Log is the file to which the process writes.
	Log string
	// Done is closed when the process has ended.
	Done chan struct{}

	name string
	cmd  *exec.Cmd
	err  error // how it ended; read it after Done
}

// Spawn starts a program; what it writes is added to NAME.log in the folder.
func Spawn(dir, name string, cmd *exec.Cmd) (*Process, error) {
	p := &Process{name: name, Log: filepath.Join(dir, name+".log"), cmd: cmd, Done: make(chan struct{})}
	log, err := os.OpenFile(p.Log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
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
		close(p.Done)
	}()
	return p, nil
}

// Signal sends a signal; a process that has ended takes it silently.
func (p *Process) Signal(signal syscall.Signal) error {
	if err := p.cmd.Process.Signal(signal); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("%s: %v: %w", p.name, signal, err)
	}
	return nil
}

// PID is the process's number.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Kill ends the process as a crash does, and returns when it is gone.
func (p *Process) Kill() error {
	err := p.Signal(syscall.SIGKILL)
	if err == nil {
		<-p.Done
	}
	return err
}

// Stop ends the process, kindly first, and returns when it is gone.
func (p *Process) Stop() error {
	if err := errors.Join(p.Signal(syscall.SIGTERM), p.Signal(syscall.SIGCONT)); err != nil {
		return err
	}
	limit := time.NewTimer(stopLimit)
	defer limit.Stop()
	select {
	case <-p.Done:
		return nil
	case <-limit.C:
	}
	return errors.Join(fmt.Errorf("%s did not leave within %v and was killed; it wrote %s", p.name, stopLimit, p.Log), p.Kill())
}

// Await asks ready until it says nil, the process has ended, or the time is over.
func (p *Process) Await(ctx context.Context, limit time.Duration, ready func(context.Context) error) error {
	err := WaitFor(ctx, limit, func(ctx context.Context) error {
		select {
		case <-p.Done:
			return fmt.Errorf("it ended at once: %v", p.err)
		default:
			return ready(ctx)
		}
	})
	if err != nil {
		return fmt.Errorf("%s is not ready: %w\n%s", p.name, err, p.Wrote())
	}
	return nil
}

// Wrote is the end of what the process wrote.
func (p *Process) Wrote() string {
	text, err := os.ReadFile(p.Log)
	if err != nil {
		return err.Error()
	}
	return string(text[max(0, len(text)-2000):])
}

// WaitFor asks until the answer is nil; when the time is over, it returns the last answer.
func WaitFor(ctx context.Context, limit time.Duration, state func(context.Context) error) error {
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

// Pass lets time pass; it returns sooner when ctx ends.
func Pass(ctx context.Context, until time.Time) {
	timer := time.NewTimer(time.Until(until))
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
