package lab

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
)

// claimAddress takes a loopback address on which nobody has the ports of a server. It belongs to the listener that is
// returned until that is closed, also while its server is down.
func claimAddress(ctx context.Context, address string) (net.Listener, error) {
	if address != "" {
		return claim(ctx, address)
	}
	var err error
	for range 20 {
		// Of 127.0.0.0/8 a part that no one is known to use.
		address = fmt.Sprintf("127.%d.%d.%d", 64+rand.IntN(64), rand.IntN(256), 1+rand.IntN(254))
		var l net.Listener
		if l, err = claim(ctx, address); err == nil {
			return l, nil
		}
	}
	return nil, err
}

func claim(ctx context.Context, address string) (net.Listener, error) {
	var config net.ListenConfig
	at := func(port int) string { return net.JoinHostPort(address, strconv.Itoa(port)) }
	l, err := config.Listen(ctx, "tcp4", at(claimPort))
	if err != nil {
		return nil, fmt.Errorf("%s is in use by another server: %w", address, err)
	}
	for _, port := range []int{amiPort, amiTLSPort} {
		probe, tcpErr := config.Listen(ctx, "tcp4", at(port))
		if tcpErr == nil {
			tcpErr = probe.Close()
		}
		err = errors.Join(err, tcpErr)
	}
	probe, udpErr := config.ListenPacket(ctx, "udp4", at(sipPort))
	if udpErr == nil {
		udpErr = probe.Close()
	}
	if err = errors.Join(err, udpErr); err != nil {
		_ = l.Close()
		return nil, fmt.Errorf("a port of %s is in use: %w", address, err)
	}
	return l, nil
}
