package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// processors are the seconds of processor time of the bench and of each program that it started, by its name.
type processors map[string]float64

// processorTimes are what every program has used so far.
func processorTimes() (processors, error) {
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		return nil, err
	}
	self := os.Getpid()
	times := processors{}
	for _, path := range stats {
		s, err := readStat(path)
		switch {
		case err != nil: // it has just ended
		case s.pid == self:
			times["bench"] += s.used.Seconds()
		case s.parent == self:
			times[s.name] += s.used.Seconds()
		}
	}
	return times, nil
}

// processorTime is how much a process has used.
func processorTime(pid int) (time.Duration, error) {
	s, err := readStat(fmt.Sprintf("/proc/%d/stat", pid))
	return s.used, err
}

// stat is what the kernel says of a process.
type stat struct {
	pid, parent int
	name        string
	used        time.Duration
}

func readStat(path string) (stat, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return stat{}, err
	}
	// The name, in brackets, may hold anything.
	text := string(data)
	open, shut := strings.IndexByte(text, '('), strings.LastIndexByte(text, ')')
	if open < 0 || shut < open {
		return stat{}, io.ErrUnexpectedEOF
	}
	fields := strings.Fields(text[shut+1:])
	if len(fields) < 13 {
		return stat{}, io.ErrUnexpectedEOF
	}
	numbers := [4]int{}
	for i, field := range []string{strings.TrimSpace(text[:open]), fields[1], fields[11], fields[12]} {
		if numbers[i], err = strconv.Atoi(field); err != nil {
			return stat{}, err
		}
	}
	const ticksPerSecond = 100
	return stat{
		pid: numbers[0], parent: numbers[1], name: text[open+1 : shut],
		used: time.Duration(numbers[2]+numbers[3]) * time.Second / ticksPerSecond, // in user mode and in the kernel
	}, nil
}

func (p processors) since(before processors) processors {
	grown := processors{}
	for name, s := range p {
		grown[name] = s - before[name]
	}
	return grown
}

// total is the sum over all programs.
func (p processors) total() float64 {
	sum := 0.0
	for _, s := range p {
		sum += s
	}
	return sum
}

func (p processors) String() string {
	var parts []string
	for name, s := range p {
		parts = append(parts, fmt.Sprintf("%s %.2f", name, s))
	}
	slices.Sort(parts)
	return fmt.Sprintf("%.2f (%s)", p.total(), strings.Join(parts, ", "))
}
