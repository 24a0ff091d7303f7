package main

import (
	"encoding/json"
	"math"
	"slices"
)

// number is a measured value that may be unknown.
type number float64

const unknown = number(-1)

// MarshalJSON writes an unknown number as null.
func (n number) MarshalJSON() ([]byte, error) {
	if n == unknown {
		return []byte("null"), nil
	}
	return json.Marshal(float64(n))
}

// percentile of values, by the nearest rank.
func percentile(values []float64, p float64) float64 {
	if len(values) == 0 {
		return math.NaN()
	}
	sorted := slices.Sorted(slices.Values(values))
	return sorted[max(0, int(math.Ceil(p/100*float64(len(sorted))))-1)]
}

// median of values; of an even number the mean of the middle two.
func median(values []float64) float64 {
	if len(values) == 0 {
		return math.NaN()
	}
	sorted := slices.Sorted(slices.Values(values))
	return (sorted[(len(sorted)-1)/2] + sorted[len(sorted)/2]) / 2
}

// medianOf is the median of what f says of each of a list.
func medianOf[T any](list []T, f func(T) float64) float64 {
	values := make([]float64, len(list))
	for i, x := range list {
		values[i] = f(x)
	}
	return median(values)
}
