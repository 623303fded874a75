package dev.pocketfed.client.wire

import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Test

class DigestTest {
    // Of the empty message: FIPS 180-4's own example values, and the same in Base64.
    private val ofNothing = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

    @Test
    fun `a digest is the one of the standard`() {
        assertEquals(ofNothing, Digest.sha256(ByteArray(0)))
    }

    @Test
    fun `a content digest is that of the same bytes in Base64`() {
        assertEquals("sha-256=:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=:", Digest.contentDigest(ofNothing))
    }
}
