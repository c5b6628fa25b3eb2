package e2e

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	cdplog "github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/storage"
	"github.com/chromedp/chromedp"
)

// chromium is a real browser, headless, with a fresh profile. Its person has several tabs.
type chromium struct {
	t   *testing.T
	ctx context.Context

	mu      sync.Mutex
	refused []string // what a page's own policy forbade, as the browser's console tells it
}

// newChromium starts the browser; without one the test fails. It ends with the test, which fails if any page of the browser ran into a
// Content-Security-Policy. More options are those of its command line.
func newChromium(t *testing.T, more ...chromedp.ExecAllocatorOption) *chromium {
	t.Helper()
	options := []chromedp.ExecAllocatorOption{
		chromedp.Headless, chromedp.NoSandbox, chromedp.DisableGPU, chromedp.NoFirstRun, chromedp.NoDefaultBrowserCheck,
	}
	for _, flag := range []string{
		"disable-quic", "disable-background-networking", "disable-component-update", "disable-sync", "disable-extensions",
		"disable-dev-shm-usage", "disable-background-timer-throttling", "disable-renderer-backgrounding",
	} {
		options = append(options, chromedp.Flag(flag, true))
	}
	// Not the test's context: that ends before Cleanup, and would kill what can be closed. The profile is a temporary
	// folder of chromedp's own, which waits for the browser's children before it removes that.
	allocator, cancel := chromedp.NewExecAllocator(context.Background(), append(options, more...)...)
	t.Cleanup(cancel)
	c := &chromium{t: t}
	c.ctx, _ = chromedp.NewContext(allocator, chromedp.WithListener(c.listen))
	t.Cleanup(func() {
		if err := chromedp.Cancel(c.ctx); err != nil {
			t.Errorf("closing Chromium: %v", err)
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		for _, text := range c.refused {
			t.Errorf("a page's policy refused: %s", text)
		}
	})
	if err := chromedp.Do(c.ctx); err != nil {
		t.Fatalf("these tests need Chromium: install the package chromium (%v)", err)
	}
	return c
}

func (c *chromium) listen(event any) {
	if added, ok := event.(*cdplog.EventEntryAdded); ok && strings.Contains(added.Entry.Text, "Content Security Policy") {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.refused = append(c.refused, added.Entry.Text)
	}
}

// cookies returns the service's cookies in the profile, whoever may read them.
func (c *chromium) cookies() map[string]network.Cookie {
	c.t.Helper()
	result, err := chromedp.CallBrowser(c.ctx, storage.GetCookies, storage.GetCookiesParams{})
	check(c.t, err)
	found := map[string]network.Cookie{}
	for _, cookie := range result.Cookies {
		if strings.Contains(cookie.Name, "authsvc") {
			found[cookie.Name] = *cookie
		}
	}
	return found
}

// forgetCookies empties the profile's cookie jar.
func (c *chromium) forgetCookies() {
	c.t.Helper()
	_, err := chromedp.CallBrowser(c.ctx, storage.ClearCookies, storage.ClearCookiesParams{})
	check(c.t, err)
}

// tab is a page of the browser.
type tab struct {
	c   *chromium
	ctx context.Context
}

func (c *chromium) newTab() (*tab, error) {
	ctx, _ := chromedp.NewContext(c.ctx, chromedp.WithListener(c.listen)) // closed with the browser
	return &tab{c, ctx}, chromedp.Do(ctx)
}

// do runs steps, bounded by patience.
func (b *tab) do(steps ...chromedp.Action[chromedp.Void]) error {
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	return chromedp.Do(ctx, steps...)
}

// open types an address into the tab's address bar.
func (b *tab) open(address string) error {
	if err := b.do(chromedp.Navigate(address)); err != nil {
		return fmt.Errorf("opening %s: %w", address, err)
	}
	return nil
}

// click presses the mouse on what a CSS selector finds, once it is visible, with the tab in front.
func (b *tab) click(selector string) error {
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	if _, err := chromedp.Call(ctx, page.BringToFront, cdp.Empty{}); err != nil {
		return err
	}
	if err := chromedp.Do(ctx, chromedp.Click(chromedp.CSS(selector), chromedp.NodeVisible)); err != nil {
		return fmt.Errorf("clicking %s: %w", selector, b.with(err))
	}
	return nil
}

// shows waits until the tab's page has loaded and a JavaScript expression is true on it.
func (b *tab) shows(expression string) error {
	deadline := time.Now().Add(patience)
	for {
		ctx, cancel := context.WithTimeout(b.ctx, patience)
		shown, err := chromedp.Run(ctx, chromedp.Evaluate[bool](`document.readyState == "complete" && !!(`+expression+`)`))
		cancel()
		if err == nil && shown {
			return nil
		}
		if time.Now().After(deadline) {
			return b.with(errors.Join(fmt.Errorf("the page is not as wanted: %s", expression), err))
		}
		time.Sleep(20 * time.Millisecond) // the pace of asking; between two pages nobody answers
	}
}

// with adds to an error what the tab shows.
func (b *tab) with(err error) error {
	ctx, cancel := context.WithTimeout(b.ctx, 5*time.Second)
	defer cancel()
	text, failure := chromedp.Run(ctx, chromedp.Evaluate[string](`location.href + ": " + document.title + ": " + document.body.innerText.slice(0, 300)`))
	if failure != nil {
		return errors.Join(err, failure)
	}
	return fmt.Errorf("%w; the tab shows %s", err, text)
}
