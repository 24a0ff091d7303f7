package roster

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/iotest"

	"pgregory.net/rapid"

	"roster.dev/roster/api/v1alpha1"
)

var allClasses = []v1alpha1.CharacterClass{
	v1alpha1.ClassDigit, v1alpha1.ClassUpper, v1alpha1.ClassLower, v1alpha1.ClassSymbol,
}

func TestS3CheckPassword(t *testing.T) {
	strict := &v1alpha1.PasswordPolicy{MinimumLength: new(int32(12)), Require: allClasses}
	tests := []struct {
		name     string
		reason   string
		policy   *v1alpha1.PasswordPolicy
		password string
		broken   []string
	}{
		{"Good", "meets every rule", strict, "Correct-horse-7", nil},
		{"NoPolicy", "a centre without rules takes what Asterisk takes", nil, "x", nil},
		{"EmptyPolicy", "a policy without rules asks for nothing", &v1alpha1.PasswordPolicy{}, "x", nil},
		{"SpaceInside", "white space inside is a character as others", nil, "correct horse", nil},
		{"Longest", "80 bytes fit", nil, strings.Repeat("a", 80), nil},
		{"ExactlyMinimum", "the minimum is enough", strict, "Abcdefghi-12", nil},
		{"Unicode", "letters count in any script, lengths in characters", strict, "Äößüäößüäö-1", nil},
		{"Empty", "empty means no authentication", nil, "", []string{"empty"}},
		{"TooLong", "81 do not fit", nil, strings.Repeat("a", 81), []string{"longer than 80 bytes"}},
		{"TooLongInBytes", "the column may be narrower in characters than it seems", nil, strings.Repeat("ä", 41), []string{"longer than 80 bytes"}},
		{"TrailingNewline", "the commonest mistake of a Secret made from a file", nil, "Correct-horse-7\n", []string{"white space"}},
		{"LeadingSpace", "Asterisk would strip it", nil, " Correct-horse-7", []string{"white space"}},
		{"NewlineInside", "a line break ends a SIP header", nil, "Correct\nhorse", []string{"cannot be printed"}},
		{"NUL", "PostgreSQL and C end there", nil, "Correct\x00horse", []string{"cannot be printed"}},
		{"Delete", "a control character", nil, "Correct\x7fhorse", []string{"cannot be printed"}},
		{"NotUTF8", "the database refuses it", nil, "Correct\xffhorse", []string{"cannot be printed"}},
		{"ZeroWidth", "nobody could type it", nil, "Correct\u200bhorse", []string{"cannot be printed"}},
		{"Semicolon", "realtime cuts there", nil, "Correct;horse", []string{"; or ^"}},
		{"Caret", "realtime decodes it", nil, "Correct^3Bhorse", []string{"; or ^"}},
		{"Short", "one below the minimum", strict, "Abcdefgh-12", []string{"shorter than 12 characters"}},
		{"NoDigit", "a class is missing", strict, "Correct-horse-x", []string{"no digit"}},
		{"NoUpper", "a class is missing", strict, "correct-horse-7", []string{"no upper-case letter"}},
		{"NoLower", "a class is missing", strict, "CORRECT-HORSE-7", []string{"no lower-case letter"}},
		{"NoSymbol", "a class is missing", strict, "CorrectHorse77", []string{"no symbol"}},
		{"Several", "every broken rule is named at once", strict, "\tab", []string{
			"white space", "shorter than 12 characters", "no digit", "no upper-case letter", "no symbol",
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			err := CheckPassword(tt.policy, tt.password)
			if len(tt.broken) == 0 {
				if err != nil {
					t.Fatalf("%s: got %v", tt.reason, err)
				}
				return
			}
			if err == nil {
				t.Fatalf("%s: accepted", tt.reason)
			}
			for _, want := range tt.broken {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%s: %q does not say %q", tt.reason, err, want)
				}
			}
			if len(tt.password) > 3 && strings.Contains(err.Error(), tt.password) {
				t.Errorf("the error tells the password: %q", err)
			}
		})
	}
}

func TestS3MessageDependsOnRulesOnly(t *testing.T) {
	policy := &v1alpha1.PasswordPolicy{MinimumLength: new(int32(12)), Require: allClasses}
	a, b := CheckPassword(policy, "zz"), CheckPassword(policy, "qqqqqqq")
	if a.Error() != b.Error() {
		t.Errorf("two passwords that break the same rules are told apart: %q, %q", a, b)
	}
}

func TestCheckPIN(t *testing.T) {
	for pin, ok := range map[string]bool{
		"1234": true, "0000": true, "1234567890": true,
		"": false, "123": false, "12345678901": false, "12a4": false, "12 4": false, "1234\n": false,
		"-1234": false, "12#4": false, "١٢٣٤": false,
	} {
		err := CheckPIN(pin)
		if (err == nil) != ok {
			t.Errorf("CheckPIN(%q) = %v", pin, err)
		}
		if err != nil && len(pin) > 3 && strings.Contains(err.Error(), pin) {
			t.Errorf("the error tells the PIN: %q", err)
		}
	}
}

// drawPolicy draws what the CRD lets through.
func drawPolicy(t *rapid.T) *v1alpha1.PasswordPolicy {
	if rapid.Bool().Draw(t, "no policy") {
		return nil
	}
	p := &v1alpha1.PasswordPolicy{}
	if rapid.Bool().Draw(t, "has minimum") {
		p.MinimumLength = new(rapid.Int32Range(1, 64).Draw(t, "minimum"))
	}
	for _, c := range allClasses {
		if rapid.Bool().Draw(t, string(c)) {
			p.Require = append(p.Require, c)
		}
	}
	return p
}

func TestS3NewPasswordMeetsEveryPolicy(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		policy := drawPolicy(t)
		random := rand.NewChaCha8([32]byte(rapid.SliceOfN(rapid.Byte(), 32, 32).Draw(t, "seed")))
		password, err := NewPassword(policy, random)
		if err != nil {
			t.Fatal(err)
		}
		if err := CheckPassword(policy, password); err != nil {
			t.Fatal(err)
		}
		if len(password) < 20 {
			t.Fatalf("%d characters are few", len(password))
		}
		if i := strings.IndexFunc(password, func(r rune) bool { return !strings.ContainsRune(passwordAlphabet, r) }); i >= 0 {
			t.Fatalf("%q needs quoting somewhere", password[i])
		}
		if again, _ := NewPassword(policy, random); again == password {
			t.Fatal("the same password twice")
		}
	})
}

func TestS3PasswordsAreUnbiased(t *testing.T) {
	random := rand.NewChaCha8([32]byte{7})
	seen := map[rune]int{}
	const passwords = 20_000
	for range passwords {
		p, err := NewPassword(nil, random)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range p[1:] {
			seen[r]++
		}
	}
	expected := float64(passwords*19) / 64
	for _, r := range passwordAlphabet {
		// Five standard deviations of sqrt(expected) are about 6.5 percent.
		if f := float64(seen[r]) / expected; f < 0.935 || f > 1.065 {
			t.Errorf("%q comes %.3f times as often as it should", r, f)
		}
	}
}

func TestS3NewPasswordSourceFails(t *testing.T) {
	broken := errors.New("no entropy")
	if _, err := NewPassword(nil, iotest.ErrReader(broken)); !errors.Is(err, broken) {
		t.Errorf("got %v", err)
	}
	if _, err := NewPassword(nil, bytes.NewReader(make([]byte, 5))); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("half a password: got %v", err)
	}
	zeros := iotest.DataErrReader(io.LimitReader(zeroReader{}, 1<<20))
	if _, err := NewPassword(&v1alpha1.PasswordPolicy{Require: allClasses}, zeros); err == nil {
		t.Error("a source that always says the same met the policy")
	}
}

type zeroReader struct{}

func (zeroReader) Read(p []byte) (int, error) { clear(p); return len(p), nil }

func TestS3CheckPasswordNeverTells(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		policy := drawPolicy(t)
		password := rapid.StringN(9, 100, -1).Draw(t, "password")
		err := CheckPassword(policy, password)
		if err == nil {
			if len(password) > 80 || strings.TrimSpace(password) != password || strings.ContainsAny(password, "\x00\r\n\t;^") {
				t.Fatalf("%q was accepted", password)
			}
			return
		}
		if strings.Contains(err.Error(), password) {
			t.Fatalf("%q is in %q", password, err)
		}
	})
}
