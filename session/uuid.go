package session

import (
	"encoding/hex"
	"fmt"
)

// Many providers name users and sessions by UUIDs. Their text is more than twice as long as what it stands for.
const uuidText = len("f47ac10b-58cc-4372-a567-0e02b2c3d479")

// packUUID returns the 16 bytes of a UUID in the spelling of RFC 9562, section 4, and any other text as it is.
func packUUID(text string) any {
	if len(text) != uuidText {
		return text
	}
	var digits [32]byte
	copy(digits[:], text[:8])
	copy(digits[8:], text[9:13])
	copy(digits[12:], text[14:18])
	copy(digits[16:], text[19:23])
	copy(digits[20:], text[24:])
	uuid := make([]byte, 16)
	if _, err := hex.Decode(uuid, digits[:]); err != nil || spellUUID(uuid) != text {
		return text
	}
	return uuid
}

// unpackUUID reverses packUUID. Errors: ErrCorrupt.
func unpackUUID(packed any) (string, error) {
	switch packed := packed.(type) {
	case nil:
		return "", nil
	case string:
		return packed, nil
	case []byte:
		if len(packed) == 16 {
			return spellUUID(packed), nil
		}
	}
	return "", fmt.Errorf("%w: a name is neither text nor a UUID", ErrCorrupt)
}

func spellUUID(uuid []byte) string {
	var text [uuidText]byte
	hex.Encode(text[:], uuid[:4])
	hex.Encode(text[9:], uuid[4:6])
	hex.Encode(text[14:], uuid[6:8])
	hex.Encode(text[19:], uuid[8:10])
	hex.Encode(text[24:], uuid[10:])
	text[8], text[13], text[18], text[23] = '-', '-', '-', '-'
	return string(text[:])
}
