// A client of Synod in Go: proposals that take effect once, and subscriptions that last.
//
// What it takes to write a client in any language is in this file: a session under a client id of its own, one number for every
// sending of a proposal, outcomes, and `next`. It is for one goroutine; docs/protocol.md says what may be done at once.
package main

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"math/big"
	"strconv"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	synod "example.com/synod-go-client/synod/v1"
)

const attempt = 2 * time.Second

// Error is how a call ended. Outcome "none": it had no effect and never will. "unknown": it may have had its effect, or may
// have it yet; Proposal is then the id to try again with.
type Error struct {
	Code        codes.Code
	Message     string
	Outcome     string
	Leader      string
	Unreachable bool
	Proposal    *ProposalID
}

func (e *Error) Error() string { return e.Message }

// ProposalID names one proposal, however often it is sent, by whatever process: client:session:sequence.
type ProposalID struct {
	Client   []byte
	Session  uint64
	Sequence uint64
}

func (id ProposalID) String() string {
	return fmt.Sprintf("%s:%d:%d", hex.EncodeToString(id.Client), id.Session, id.Sequence)
}

// ParseID reads what String wrote.
func ParseID(text string) (ProposalID, error) {
	parts := strings.Split(text, ":")
	if len(parts) == 3 {
		client, badClient := hex.DecodeString(parts[0])
		session, badSession := strconv.ParseUint(parts[1], 10, 64)
		sequence, badSequence := strconv.ParseUint(parts[2], 10, 64)
		if badClient == nil && badSession == nil && badSequence == nil && len(client) == 16 {
			return ProposalID{client, session, sequence}, nil
		}
	}
	return ProposalID{}, fmt.Errorf("%q is no CLIENT:SESSION:SEQUENCE, such as 00112233445566778899aabbccddeeff:0:1", text)
}

type session struct {
	client []byte
	number uint64
	window uint64
	next   uint64
	// Numbers that were used and have no answer yet.
	open map[uint64]bool
}

// All numbers up to this one are answered. One whose outcome is unknown is not: its answer is still wanted.
func (s *session) acknowledged() uint64 {
	lowest := s.next
	for sequence := range s.open {
		if sequence < lowest {
			lowest = sequence
		}
	}
	return lowest - 1
}

func (s *session) begin() (ProposalID, error) {
	if s.next > s.acknowledged()+s.window {
		text := fmt.Sprintf("%d proposals have no answer yet, and number %d would be more than %d above %d, up to which all are answered; retry the open ones first",
			len(s.open), s.next, s.window, s.acknowledged())
		return ProposalID{}, &Error{Code: codes.ResourceExhausted, Message: text, Outcome: "none"}
	}
	id := ProposalID{s.client, s.number, s.next}
	s.open[s.next] = true
	s.next++
	return id, nil
}

// members are the addresses of a role, of which one is asked at a time.
type members struct {
	addresses   []string
	connections []*grpc.ClientConn
	at          int
}

func dial(addresses []string) (*members, error) {
	m := &members{addresses: addresses}
	for _, address := range addresses {
		connection, err := grpc.Dial(address, grpc.WithInsecure(), grpc.WithNoProxy(), grpc.WithDisableRetry())
		if err != nil {
			return nil, err
		}
		m.connections = append(m.connections, connection)
	}
	return m, nil
}

// Goes to the leader that was named, where it is one of ours, else to the next.
func (m *members) failed(leader string) {
	for at, address := range m.addresses {
		if address == leader && at != m.at {
			m.at = at
			return
		}
	}
	m.at = (m.at + 1) % len(m.addresses)
}

// Runs `once` until it succeeds. The outcome of its error covers all tries.
func (m *members) call(what string, timeout time.Duration, once func(context.Context, *grpc.ClientConn, bool, *metadata.MD) error) error {
	end := time.Now().Add(timeout)
	outcome, unreachable, wait := "none", 0, 10*time.Millisecond
	for tries := 1; ; tries++ {
		address := m.addresses[m.at]
		limit := time.Until(end)
		if limit > attempt {
			limit = attempt
		}
		ctx, cancel := context.WithTimeout(context.Background(), limit)
		trailer := metadata.MD{}
		// A try after one that may have had its effect is a retry, and says so.
		err := once(ctx, m.connections[m.at], outcome == "unknown", &trailer)
		cancel()
		if err == nil {
			return nil
		}
		last := errorOf(err, trailer, address)
		if last.Outcome == "unknown" {
			outcome = "unknown"
		}
		if last.Unreachable {
			unreachable++
		} else {
			unreachable = 0
		}
		m.failed(last.Leader)
		// Each member is asked once without a wait; then waits are random and grow.
		pause := time.Duration(0)
		if tries >= len(m.addresses) {
			pause = randomUpTo(wait)
			if wait < 500*time.Millisecond {
				wait *= 2
			}
		}
		if !again(last.Code) || time.Now().Add(pause).After(end) {
			last.Message = what + ": " + last.Message
			last.Outcome = outcome
			last.Unreachable = unreachable >= len(m.addresses)
			if last.Unreachable {
				last.Message = fmt.Sprintf("%s: nobody answers at %s; is the cluster running?", what, strings.Join(m.addresses, ", "))
			}
			return last
		}
		time.Sleep(pause)
	}
}

func (m *members) close() {
	for _, connection := range m.connections {
		connection.Close()
	}
}

// A status without the trailer was made on the way: whether the request arrived is not known.
func errorOf(err error, trailer metadata.MD, address string) *Error {
	of := status.Convert(err)
	made := &Error{Code: of.Code(), Message: of.Message(), Outcome: "unknown"}
	if said := trailer.Get("synod-outcome"); len(said) > 0 {
		made.Outcome = said[0]
	} else if of.Code() == codes.Unavailable {
		made.Unreachable = true
		made.Message = "nobody answers at " + address
	}
	if said := trailer.Get("synod-leader"); len(said) > 0 {
		made.Leader = said[0]
	}
	return made
}

// After these another try, elsewhere or later, may succeed. Unknown and Canceled are made on the way, not by Synod.
func again(code codes.Code) bool {
	switch code {
	case codes.Unavailable, codes.ResourceExhausted, codes.DeadlineExceeded, codes.Aborted, codes.Internal, codes.Unknown, codes.Canceled:
		return true
	}
	return false
}

// Client proposes to any proposer and reads from any learner. The timeout is for one call with all its tries.
type Client struct {
	proposers *members
	learners  *members
	timeout   time.Duration
	sessions  map[string]*session
}

// Connect makes a client; nothing is sent before its first call.
func Connect(proposers, learners []string, timeout time.Duration) (*Client, error) {
	p, err := dial(proposers)
	if err != nil {
		return nil, err
	}
	l, err := dial(learners)
	if err != nil {
		p.close()
		return nil, err
	}
	return &Client{p, l, timeout, map[string]*session{}}, nil
}

// Close ends all connections.
func (c *Client) Close() {
	c.proposers.close()
	c.learners.close()
}

// Propose has a value chosen in the next slot of a log. It takes effect once, however often it had to be sent.
func (c *Client) Propose(log string, value []byte) (uint64, ProposalID, error) {
	for lastTry := false; ; lastTry = true {
		s, err := c.session(log)
		if err != nil {
			return 0, ProposalID{}, err
		}
		id, err := s.begin()
		if err != nil {
			return 0, id, err
		}
		slot, err := c.send(log, value, id, s, false)
		var failed *Error
		if !errors.As(err, &failed) || failed.Code != codes.FailedPrecondition {
			return slot, id, err
		}
		// Most likely the session expired. The next one gets a new client id, for under the old one numbers that begin again at 1
		// could be taken for retries. Only what had no effect in the old session may go into the new one.
		delete(c.sessions, log)
		if failed.Outcome == "unknown" || lastTry {
			return 0, id, err
		}
	}
}

// Retry sends a proposal again, with the same value and id. It gets the slot of its first effect.
func (c *Client) Retry(log string, value []byte, id ProposalID) (uint64, error) {
	s := c.sessions[log]
	if s != nil && (string(s.client) != string(id.Client) || s.number != id.Session) {
		s = nil
	}
	return c.send(log, value, id, s, true)
}

// Subscribe tells of every entry from a slot on, in order, each value once, until `heard` says false. It goes on by itself at
// another learner. Who stops listening resumes from the last `next`.
func (c *Client) Subscribe(log string, from uint64, heard func(entry *synod.LearnedEntry, next uint64) bool) error {
	next, silentSince, failures := from, time.Now(), 0
	for {
		address := c.learners.addresses[c.learners.at]
		done, progress, err := c.listen(log, &next, heard)
		if done {
			return nil
		}
		if progress {
			silentSince, failures = time.Now(), 0
		}
		failures++
		last := errorOf(err, metadata.MD{}, address)
		late := failures >= len(c.learners.addresses) && time.Since(silentSince) > c.timeout
		if !again(last.Code) || (last.Unreachable && late) {
			last.Message = "subscribing to " + log + ": " + last.Message
			last.Outcome = "none"
			return last
		}
		c.learners.failed("")
		time.Sleep(randomUpTo(200 * time.Millisecond))
	}
}

// One subscription at one learner, until it breaks or `heard` says false.
func (c *Client) listen(log string, next *uint64, heard func(*synod.LearnedEntry, uint64) bool) (done, progress bool, err error) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	learner := synod.NewLearnerServiceClient(c.learners.connections[c.learners.at])
	stream, err := learner.Subscribe(ctx, &synod.SubscribeRequest{Log: log, From: *next})
	if err != nil {
		return false, false, err
	}
	for {
		message, err := stream.Recv()
		if err != nil {
			// An end without an error is a break, too.
			return false, progress, status.Convert(err).Err()
		}
		progress = true
		for _, entry := range message.Entries {
			if entry.Slot >= *next {
				*next = entry.Slot + 1
			}
			if !heard(entry, *next) {
				return true, true, nil
			}
		}
		// Slots without a value of a client (no-ops, sessions) were passed, too.
		if message.Next > *next {
			*next = message.Next
		}
	}
}

// The session of a log, opened by the first proposal that needs it, under 16 random bytes that no other session has.
func (c *Client) session(log string) (*session, error) {
	if known := c.sessions[log]; known != nil {
		return known, nil
	}
	client := make([]byte, 16)
	if _, err := rand.Read(client); err != nil {
		return nil, err
	}
	var opened *synod.OpenSessionResponse
	err := c.proposers.call("opening a session in "+log, c.timeout, func(ctx context.Context, at *grpc.ClientConn, _ bool, trailer *metadata.MD) (err error) {
		request := &synod.OpenSessionRequest{Log: log, Client: client}
		opened, err = synod.NewProposerServiceClient(at).OpenSession(ctx, request, grpc.Trailer(trailer))
		return err
	})
	var failed *Error
	if errors.As(err, &failed) {
		// Opening again under the same id answers with the same session, and nothing was proposed yet.
		failed.Outcome = "none"
	}
	if err != nil {
		return nil, err
	}
	made := &session{client, opened.Session, uint64(opened.Window), 1, map[uint64]bool{}}
	c.sessions[log] = made
	return made, nil
}

func (c *Client) send(log string, value []byte, id ProposalID, s *session, retry bool) (uint64, error) {
	request := &synod.ProposeRequest{
		Log: log, Protocol: synod.Protocol_PROTOCOL_MULTI, Payload: value,
		Client: id.Client, Session: id.Session, Sequence: id.Sequence,
	}
	if s != nil {
		// All numbers up to this one have their answers; their answers are then forgotten.
		request.Acknowledged = s.acknowledged()
		if request.Acknowledged >= id.Sequence {
			request.Acknowledged = id.Sequence - 1
		}
	}
	var answer *synod.ProposeResponse
	err := c.proposers.call("proposing to "+log, c.timeout, func(ctx context.Context, at *grpc.ClientConn, again bool, trailer *metadata.MD) (err error) {
		request.Retry = retry || again
		answer, err = synod.NewProposerServiceClient(at).Propose(ctx, request, grpc.Trailer(trailer))
		return err
	})
	var failed *Error
	if errors.As(err, &failed) {
		if retry {
			failed.Outcome = "unknown"
		}
		if failed.Outcome == "unknown" {
			failed.Proposal = &id
			return 0, failed
		}
	}
	if s != nil {
		delete(s.open, id.Sequence)
	}
	if err != nil {
		return 0, err
	}
	return answer.Slot, nil
}

func randomUpTo(limit time.Duration) time.Duration {
	n, err := rand.Int(rand.Reader, big.NewInt(int64(limit)))
	if err != nil {
		return limit
	}
	return time.Duration(n.Int64())
}
