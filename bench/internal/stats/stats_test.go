package stats

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// Quantiles are those of the sorted values, but for the width of a bucket.
func TestQuantile(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for _, scale := range []float64{3, 1e3, 1e6, 1e9} {
		var h Histogram
		values := make([]int64, 10_001)
		for i := range values {
			values[i] = int64(rng.ExpFloat64() * scale)
			h.Add(values[i])
		}
		slices.Sort(values)
		for _, q := range []float64{0.01, 0.5, 0.9, 0.99, 0.999, 1} {
			want := float64(values[int(q*float64(len(values))+0.5)-1])
			if got := float64(h.Quantile(q)); math.Abs(got-want) > want*0.008 {
				t.Errorf("scale %g: quantile %g is %g, want %g", scale, q, got, want)
			}
		}
	}
}

func TestBuckets(t *testing.T) {
	for shift := range 63 {
		for _, v := range []int64{1<<shift - 1, 1 << shift, 1<<shift + 1, 1<<shift + 1<<shift/3} {
			if got := middle(bucket(uint64(v))); math.Abs(float64(got-v)) > 0.008*float64(v) {
				t.Errorf("%d is counted as %d", v, got)
			}
		}
	}
	if i := bucket(math.MaxInt64); i >= len(Histogram{}.counts) {
		t.Errorf("the largest value needs bucket %d", i)
	}
}

func TestEmptyHistogram(t *testing.T) {
	var h Histogram
	if h.Quantile(0.5) != 0 || h.Count() != 0 {
		t.Fatal("nothing is something")
	}
	h.Add(-5)
	if h.Quantile(0.5) != 0 || h.Count() != 1 {
		t.Fatal("a negative duration does not count as none")
	}
}

func TestMedian(t *testing.T) {
	tests := []struct {
		in   []float64
		want float64
	}{{nil, 0}, {[]float64{3}, 3}, {[]float64{9, 1, 4}, 4}, {[]float64{4, 1, 2, 9}, 3}}
	for _, tt := range tests {
		in := slices.Clone(tt.in)
		if got := Median(in); got != tt.want || !slices.Equal(in, tt.in) {
			t.Errorf("%v: got %g, want %g; left %v", tt.in, got, tt.want, in)
		}
	}
}
