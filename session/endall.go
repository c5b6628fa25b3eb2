package session

import (
	"context"
	"errors"
	"iter"
	"sync"
	"time"
)

// EndAll ends every session that the store holds when it begins, of every site, whether it is on a list or not, and tells progress, unless nil, now and
// then how many there have been. A login that finishes meanwhile may outlast it. Errors mean that some sessions may live on: the caller
// must say so, and may call again. The store must be a Lister.
func (m *Manager) EndAll(ctx context.Context, progress func(ended int)) (ended int, err error) {
	store, began := m.Store.(Lister), m.now()
	ended, err = each(ctx, store.EachRecord(ctx), m.End, progress)
	if err != nil {
		return ended, err
	}
	// What is left of them on lists would be taken off when it is read, and expires. It costs memory until then.
	_, err = each(ctx, store.EachList(ctx, KindUser), func(ctx context.Context, list IndexList) error {
		for _, entry := range list.Entries {
			if !m.begun(entry).Add(crossing).Before(began) {
				continue
			}
			if err := m.Index.Forget(ctx, list.Name, entry.ID); err != nil {
				return err
			}
		}
		return nil
	}, nil)
	return ended, err
}

// each does something with everything that is given, several at a time, until the first error. It returns how often that succeeded.
func each[T any](ctx context.Context, all iter.Seq2[T, error], do func(context.Context, T) error, progress func(done int)) (done int, err error) {
	for batch, batchErr := range batches(all) {
		failed := make([]error, len(batch))
		together(len(batch), func(i int) { failed[i] = insist(ctx, func() error { return do(ctx, batch[i]) }) })
		for _, err := range failed {
			if err == nil {
				done++
			}
		}
		if progress != nil {
			progress(done)
		}
		if err := errors.Join(batchErr, firstOf(failed)); err != nil {
			return done, err
		}
	}
	return done, nil
}

// batches collects what is given; the error comes with what was given before it.
func batches[T any](all iter.Seq2[T, error]) iter.Seq2[[]T, error] {
	return func(yield func([]T, error) bool) {
		batch := make([]T, 0, listedAtOnce)
		for v, err := range all {
			if err != nil {
				yield(batch, err)
				return
			}
			if batch = append(batch, v); len(batch) == listedAtOnce {
				if !yield(batch, nil) {
					return
				}
				batch = batch[:0]
			}
		}
		if len(batch) > 0 {
			yield(batch, nil)
		}
	}
}

// once does something once.
func once(_ context.Context, do func() error) error { return do() }

// insist does something again that failed, a few times within a second: work of minutes shall not break off because a busy store was slow once.
func insist(ctx context.Context, do func() error) error {
	for pause := 50 * time.Millisecond; ; pause *= 3 {
		err := do()
		if err == nil || pause > time.Second {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(pause):
		}
	}
}

// together calls do for each number below n, some at a time. A panic of one of them is the caller's.
func together(n int, do func(i int)) {
	var running sync.WaitGroup
	panicked := make([]error, min(n, lookers))
	for first := range panicked {
		running.Go(func() {
			panicked[first] = Catch(func() error {
				for i := first; i < n; i += lookers {
					do(i)
				}
				return nil
			})
		})
	}
	running.Wait()
	if err := firstOf(panicked); err != nil {
		panic(err)
	}
}

func firstOf(errs []error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}
