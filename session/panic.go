package session

import (
	"fmt"
	"runtime"
)

// PanicError is a panic, caught where no handler is there to answer it, or on its way to one. Its text and its stack hold nothing that a request, the store or a provider
// brought.
type PanicError struct {
	text string
	// Stack is where it came from: a function a line, and below it the file and line. The arguments, which runtime/debug.Stack writes, may be secrets.
	Stack []byte
}

func (e *PanicError) Error() string { return "panic: " + e.text }

// Panicked makes an error of what recover returned. It must be called by the function that recovers, or the stack is another one. What was caught
// before, and is passed on by another panic, stays as it is.
func Panicked(cause any) *PanicError {
	e := &PanicError{text: fmt.Sprintf("a %T", cause)}
	switch cause := cause.(type) {
	case *PanicError:
		return cause
	case runtime.Error:
		e.text = cause.Error() // an index, a type
	}
	e.Stack = callers()
	return e
}

// callers is the stack of whoever recovers.
func callers() []byte {
	counters := make([]uintptr, 100)
	frames := runtime.CallersFrames(counters[:runtime.Callers(3, counters)])
	var stack []byte
	for {
		frame, more := frames.Next()
		stack = fmt.Appendf(stack, "%s\n\t%s:%d\n", frame.Function, frame.File, frame.Line)
		if !more {
			return stack
		}
	}
}

// Catch calls work, and returns a panic of it as a *PanicError.
func Catch(work func() error) (err error) {
	defer func() {
		if cause := recover(); cause != nil {
			err = Panicked(cause)
		}
	}()
	return work()
}
