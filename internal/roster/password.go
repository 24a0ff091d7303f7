package roster

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode"
	"unicode/utf8"

	"roster.dev/roster/api/v1alpha1"
)

const (
	// maximumPassword is the width of ps_auths.password in bytes.
	maximumPassword = 80
	// generatedLength is how long a password of Roster's own is at least: 20 characters of 64 are 120 bits.
	generatedLength = 20
	minimumPIN      = 4
	maximumPIN      = 10
)

// CheckPassword says which rules a phone's password breaks: the centre's, and those of the way to the phone.
// It never tells the password, nor how long it is.
func CheckPassword(policy *v1alpha1.PasswordPolicy, password string) error {
	if password == "" {
		// To Asterisk an empty password means that anybody may register.
		return errors.New("the password is empty")
	}
	var broken []string
	rule := func(kept bool, message string) {
		if !kept {
			broken = append(broken, message)
		}
	}
	rule(len(password) <= maximumPassword, fmt.Sprintf("it is longer than %d bytes", maximumPassword))
	rule(strings.TrimFunc(password, unicode.IsSpace) == password,
		"it begins or ends with white space, such as a line break at the end of a file")
	rule(utf8.ValidString(password) && !strings.ContainsFunc(strings.TrimFunc(password, unicode.IsSpace), unprintable),
		"it holds control or other characters that cannot be printed")
	// Asterisk's realtime drivers cut values at a semicolon and decode ^3B.
	rule(!strings.ContainsAny(password, ";^"), "it holds ; or ^, which Asterisk does not take from a database as they are")
	if policy != nil {
		if policy.MinimumLength != nil {
			rule(utf8.RuneCountInString(password) >= int(*policy.MinimumLength),
				fmt.Sprintf("it is shorter than %d characters", *policy.MinimumLength))
		}
		for _, class := range policy.Require {
			rule(strings.ContainsFunc(password, func(r rune) bool { return classOf(r) == class }),
				"it holds no "+classNames[class])
		}
	}
	if len(broken) == 0 {
		return nil
	}
	return fmt.Errorf("the password cannot be used: %s", strings.Join(broken, "; "))
}

func unprintable(r rune) bool { return !unicode.IsPrint(r) }

var classNames = map[v1alpha1.CharacterClass]string{
	v1alpha1.ClassDigit: "digit", v1alpha1.ClassUpper: "upper-case letter",
	v1alpha1.ClassLower: "lower-case letter", v1alpha1.ClassSymbol: "symbol",
}

// classOf sorts a character into the classes of a policy. Letters without case are of none.
func classOf(r rune) v1alpha1.CharacterClass {
	switch {
	case unicode.IsDigit(r):
		return v1alpha1.ClassDigit
	case unicode.IsUpper(r):
		return v1alpha1.ClassUpper
	case unicode.IsLower(r):
		return v1alpha1.ClassLower
	case unicode.IsPunct(r), unicode.IsSymbol(r), r == ' ':
		return v1alpha1.ClassSymbol
	}
	return ""
}

// CheckPIN says what is wrong with a mailbox's PIN. A phone sends digits alone; an empty PIN would let in anybody.
func CheckPIN(pin string) error {
	if len(pin) < minimumPIN || len(pin) > maximumPIN ||
		strings.ContainsFunc(pin, func(r rune) bool { return r < '0' || r > '9' }) {
		return fmt.Errorf("the PIN cannot be used: it must be %d to %d digits", minimumPIN, maximumPIN)
	}
	return nil
}

// passwordAlphabet has 64 characters, so that six random bits choose one, each alike. None of them needs
// quoting in SIP, SQL or a configuration file.
const passwordAlphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"

// NewPassword makes a password that meets the policy. All such passwords are equally likely.
func NewPassword(policy *v1alpha1.PasswordPolicy, random io.Reader) (string, error) {
	length := generatedLength
	if policy != nil && policy.MinimumLength != nil {
		length = max(length, int(*policy.MinimumLength))
	}
	// One in three meets the strictest policy. Who never does is a policy that cannot be met, or a source that is not random.
	for range 1000 {
		password := make([]byte, length)
		if _, err := io.ReadFull(random, password); err != nil {
			return "", fmt.Errorf("making a password: %w", err)
		}
		for i, b := range password {
			password[i] = passwordAlphabet[b&63]
		}
		// A leading dash looks like an option to programs.
		if password[0] != '-' && CheckPassword(policy, string(password)) == nil {
			return string(password), nil
		}
	}
	return "", errors.New("making a password: the centre's passwordPolicy cannot be met")
}
