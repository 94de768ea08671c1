// An example client of Synod in Go: propose, retry with the same id, subscribe, resume. See README.md.
package main

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"strings"
	"time"

	synod "example.com/synod-go-client/synod/v1"
)

const (
	exitRefused     = 1
	exitUsage       = 2
	exitUnknown     = 3
	exitUnreachable = 4
)

const usage = `usage: synod-go-client tour | propose | retry | subscribe  [flags]  [VALUE …]

  tour                            propose, retry, subscribe and resume, each step checked
  propose   --log L VALUE…        have values chosen
  retry     --log L --id ID VALUE send a proposal again under its id; answers with the slot of its first effect
  subscribe --log L --from N      every value from slot N on, as it is chosen; resume from the last "next"

examples:
  synod-go-client propose --log orders 'two apples'
  synod-go-client subscribe --log orders --from 17 --count 3

Exit codes: 0 done; 1 refused, nothing was changed; 2 wrong usage; 3 outcome unknown, retry with the id; 4 nobody answers.

flags:
`

type options struct {
	proposers, learners, log, id string
	timeout                      time.Duration
	from                         uint64
	count                        int
	json                         bool
	values                       []string
}

func main() { os.Exit(run(os.Args[1:])) }

func run(argv []string) int {
	o, command, flags := options{}, "", flag.NewFlagSet("synod-go-client", flag.ContinueOnError)
	flags.StringVar(&o.proposers, "proposers", "127.0.0.1:7201,127.0.0.1:7202", "HOST:PORT,…")
	flags.StringVar(&o.learners, "learners", "127.0.0.1:7301,127.0.0.1:7302", "HOST:PORT,…")
	flags.StringVar(&o.log, "log", "", "the log's name (default: default, for tour a new one)")
	flags.StringVar(&o.id, "id", "", "retry: CLIENT:SESSION:SEQUENCE, as propose printed it")
	flags.DurationVar(&o.timeout, "timeout", 5*time.Second, "for one call with all its tries")
	flags.Uint64Var(&o.from, "from", 0, "subscribe: resume here, the last next")
	flags.IntVar(&o.count, "count", 0, "subscribe: stop after so many values (default: never)")
	flags.BoolVar(&o.json, "json", false, "one JSON object a line")
	flags.Usage = func() { fmt.Fprint(os.Stderr, usage); flags.PrintDefaults() }
	if len(argv) > 0 && !strings.HasPrefix(argv[0], "-") {
		command, argv = argv[0], argv[1:]
	}
	if err := flags.Parse(argv); errors.Is(err, flag.ErrHelp) {
		return 0
	} else if err != nil {
		return exitUsage
	}
	o.values = flags.Args()
	do, known := map[string]func(*Client, options) error{"tour": tour, "propose": propose, "retry": retry, "subscribe": subscribe}[command]
	wrong := (command == "propose" && len(o.values) == 0) || (command == "retry" && len(o.values) != 1)
	if !known || wrong {
		flags.Usage()
		return exitUsage
	}
	client, err := Connect(strings.Split(o.proposers, ","), strings.Split(o.learners, ","), o.timeout)
	if err == nil {
		defer client.Close()
		err = do(client, o)
	}
	return report(err, o)
}

func propose(client *Client, o options) error {
	for _, value := range o.values {
		slot, id, err := client.Propose(named(o.log), []byte(value))
		if err != nil {
			return err
		}
		show(o, fmt.Sprintf("%s  slot %d  %s  (id %s)", named(o.log), slot, value, id), map[string]interface{}{"slot": slot, "value": value, "id": id.String()})
	}
	return nil
}

func retry(client *Client, o options) error {
	id, err := ParseID(o.id)
	if err != nil {
		return usageError{err}
	}
	slot, err := client.Retry(named(o.log), []byte(o.values[0]), id)
	if err != nil {
		return err
	}
	show(o, fmt.Sprintf("%s  slot %d  %s", named(o.log), slot, o.values[0]), map[string]interface{}{"slot": slot, "value": o.values[0], "id": o.id})
	return nil
}

func subscribe(client *Client, o options) error {
	count := 0
	return client.Subscribe(named(o.log), o.from, func(entry *synod.LearnedEntry, next uint64) bool {
		payload := base64.StdEncoding.EncodeToString(entry.Payload)
		show(o, fmt.Sprintf("%s  slot %d  %s  (next %d)", named(o.log), entry.Slot, entry.Payload, next), map[string]interface{}{"slot": entry.Slot, "payload": payload, "next": next})
		count++
		return count != o.count
	})
}

// All of it in one go. Every sentence is checked before it is printed.
func tour(client *Client, o options) error {
	log := o.log
	if log == "" {
		draw := make([]byte, 4)
		if _, err := rand.Read(draw); err != nil {
			return err
		}
		log = "tour-" + hex.EncodeToString(draw)
	}
	slot, id, err := client.Propose(log, []byte("two apples"))
	if err != nil {
		return err
	}
	show(o, fmt.Sprintf("proposed: chosen in slot %d", slot), map[string]interface{}{"step": "propose", "slot": slot})

	client.proposers.failed("")
	again, err := client.Retry(log, []byte("two apples"), id)
	if err != nil {
		return err
	}
	if again != slot {
		return fmt.Errorf("this should never happen: the same id got slot %d, then %d", slot, again)
	}
	address := client.proposers.addresses[client.proposers.at]
	show(o, fmt.Sprintf("retried with the same id through %s: slot %d again", address, again), map[string]interface{}{"step": "retry", "slot": again})

	want := []string{"two apples", "a pear", "three plums", "a fig"}
	for _, value := range want[1:3] {
		if _, _, err := client.Propose(log, []byte(value)); err != nil {
			return err
		}
	}
	heard, next := []string{}, slot
	listen := func(until int) error {
		return client.Subscribe(log, next, func(entry *synod.LearnedEntry, after uint64) bool {
			heard, next = append(heard, string(entry.Payload)), after
			return len(heard) < until
		})
	}
	if err := listen(2); err != nil {
		return err
	}
	stopped := next
	show(o, fmt.Sprintf("subscribed from slot %d: heard 2, then stopped at %d", slot, stopped), map[string]interface{}{"step": "subscribe", "next": stopped})
	if _, _, err := client.Propose(log, []byte(want[3])); err != nil {
		return err
	}
	// A break: the next subscription is at another learner, where there is one.
	client.learners.failed("")
	if err := listen(len(want)); err != nil {
		return err
	}
	if strings.Join(heard, ",") != strings.Join(want, ",") {
		return fmt.Errorf("this should never happen: heard %v where %v was chosen", heard, want)
	}
	show(o, fmt.Sprintf("resumed from %d: heard the rest, each value once, in order", stopped), map[string]interface{}{"step": "resume", "next": next})
	return nil
}

// usageError is a command line that cannot be meant.
type usageError struct{ error }

func named(log string) string {
	if log == "" {
		return "default"
	}
	return log
}

func show(o options, text string, fields map[string]interface{}) {
	if o.json {
		line, err := json.Marshal(fields)
		if err != nil {
			panic(err)
		}
		text = string(line)
	}
	fmt.Println(text)
}

// report prints how it ended, and gives the exit code.
func report(err error, o options) int {
	if err == nil {
		return 0
	}
	if wrong := (usageError{}); errors.As(err, &wrong) {
		fmt.Fprintln(os.Stderr, "synod-go-client:", err)
		return exitUsage
	}
	var failed *Error
	if !errors.As(err, &failed) {
		fmt.Fprintln(os.Stderr, "synod-go-client:", err)
		return exitRefused
	}
	id, hint := "", ""
	if failed.Proposal != nil {
		id = failed.Proposal.String()
		hint = fmt.Sprintf("; try again with: retry --log %s --id %s VALUE", named(o.log), id)
	}
	if o.json {
		fields := map[string]interface{}{"code": failed.Code.String(), "message": failed.Message, "outcome": failed.Outcome, "id": id}
		line, _ := json.Marshal(map[string]interface{}{"error": fields})
		fmt.Fprintln(os.Stderr, string(line))
	} else {
		fmt.Fprintf(os.Stderr, "synod-go-client: %s [%s, outcome %s%s]\n", failed.Message, failed.Code, failed.Outcome, hint)
	}
	if failed.Outcome == "unknown" {
		return exitUnknown
	}
	if failed.Unreachable {
		return exitUnreachable
	}
	return exitRefused
}
