package dev.pocketfed.client.wire

import dev.pocketfed.client.Damaged
import java.nio.ByteBuffer
import java.nio.ByteOrder

/** The container's words for the type of an element. */
internal enum class Kind(val bytes: Int) { F32(4), F16(2), U32(4), I8(1), U8(1) }

/** One tensor of a container. */
internal class Field(val name: String, val kind: Kind, val shape: List<Int>) {
    /** Length of its data; a layout's tensors are small enough for this. */
    val bytes: Int = kind.bytes * (elementsOf(shape) ?: throw mismatch("${quoted(name)} cannot have the shape $shape"))
}

/**
 * The safetensors container of some fields: an 8-byte little-endian length, that many bytes of canonical
 * JSON, then the data without holes. Nothing is parsed: a body's header is compared byte for byte.
 *
 * Throws Unfit (`spec_mismatch`) when two fields have one name or the header would be too long.
 */
internal class Container(fields: List<Field>) {
    private val header: ByteArray = headerOf(fields)

    /** The exact length of every body. */
    val bodyBytes: Int = header.size + fields.sumOf { it.bytes }

    /** A new body whose header is written; the buffer over its data is little-endian and at 0. */
    fun newBody(): Pair<ByteArray, ByteBuffer> {
        val body = header.copyOf(bodyBytes)
        return body to dataOf(body)
    }

    /**
     * The data behind the header of [body], a little-endian view. Throws Damaged (`truncated_body`,
     * `payload_too_large`) when the length is off, Unfit (`spec_mismatch`) when the header is another.
     */
    fun payload(body: ByteArray): ByteBuffer {
        if (body.size < bodyBytes) {
            throw Damaged("truncated_body", "got ${body.size} bytes, expected $bodyBytes; fetch the whole body again")
        }
        if (body.size > bodyBytes) {
            throw Damaged("payload_too_large", "got ${body.size} bytes, expected $bodyBytes; drop what follows")
        }
        if (ByteBuffer.wrap(body, 0, header.size) != ByteBuffer.wrap(header)) {
            throw mismatch("the header is not the canonical one of this model and codec; take this model's body")
        }
        return dataOf(body)
    }

    private fun dataOf(body: ByteArray): ByteBuffer =
        ByteBuffer.wrap(body, header.size, bodyBytes - header.size).slice().order(ByteOrder.LITTLE_ENDIAN)

    companion object {
        const val MAX_HEADER_BYTES = 64 * 1024
    }
}

private const val PREFIX_BYTES = 8

private fun headerOf(fields: List<Field>): ByteArray {
    if (fields.distinctBy { it.name }.size != fields.size) {
        throw mismatch("two tensors of one container have the same name; rename one and export the model again")
    }
    val json = jsonOf(fields)
    val padded = (json.length + PREFIX_BYTES - 1) / PREFIX_BYTES * PREFIX_BYTES
    if (PREFIX_BYTES + padded > Container.MAX_HEADER_BYTES) {
        throw mismatch(
            "the header takes ${PREFIX_BYTES + padded} bytes, expected at most ${Container.MAX_HEADER_BYTES}; " +
                "shorten the names of the weights",
        )
    }
    return ByteBuffer.allocate(PREFIX_BYTES + padded).order(ByteOrder.LITTLE_ENDIAN)
        .putLong(padded.toLong())
        .put(json.padEnd(padded).toByteArray(Charsets.US_ASCII))
        .array()
}

private fun jsonOf(fields: List<Field>): String {
    var end = 0L
    return fields.joinToString(",", "{", "}") { field ->
        val begin = end
        end += field.bytes
        val shape = field.shape.joinToString(",", "[", "]")
        """${jsonString(field.name)}:{"dtype":"${field.kind}","shape":$shape,"data_offsets":[$begin,$end]}"""
    }
}

/** [text] as JSON in ASCII, with the short escapes where there are any and `\u` with small letters elsewhere. */
private fun jsonString(text: String): String = text.map(::jsonCharacter).joinToString("", "\"", "\"")

private fun jsonCharacter(character: Char): String = when (character) {
    '"' -> "\\\""
    '\\' -> "\\\\"
    '\b' -> "\\b"
    '\u000c' -> "\\f"
    '\n' -> "\\n"
    '\r' -> "\\r"
    '\t' -> "\\t"
    in ' '..'~' -> character.toString()
    else -> "\\u" + character.code.toString(16).padStart(4, '0')
}
