package session

import (
	"fmt"
	"runtime"
	"runtime/debug"
)

// PanicError is a panic, caught where no handler is there to answer it, or on its way to one. Its text and its stack hold nothing that a request, the store or a provider
// brought.
type PanicError struct {
	text string
	// Stack is where it came from, as runtime/debug.Stack writes it.
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
	e.Stack = debug.Stack()
	return e
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
