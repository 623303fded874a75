package dev.pocketfed.client.wire

import dev.pocketfed.client.Damaged
import dev.pocketfed.client.Unfit
import java.util.Random

/** How an element between two integers is cut to one of them: `q = floor(x / scale + u)`. */
public fun interface Rounding {
    /** The u of the next element, at least 0 and below 1. */
    public fun next(): Float

    public companion object {
        /** To the nearest integer. */
        public val NEAREST: Rounding = Rounding { 0.5f }

        /** Up or down by chance, without bias: what a phone does. */
        public fun stochastic(random: Random): Rounding = Rounding(random::nextFloat)
    }
}

/** An encoding of deltas, as `docs/protocol.md`, "Codecs", has it. */
public interface Codec {
    public val name: String

    /** Whether a body lacks elements, which a phone that remembers them adds to its next delta. */
    public val leavesOut: Boolean

    /** Length in bytes of the longest body of this layout. */
    public fun maxBytes(spec: WeightSpec): Int

    /**
     * The body of [delta], which has an element for each of [spec]. Throws Damaged (`non_finite_delta`)
     * for NaN and infinities, Unfit (`spec_mismatch`) when the vector is of another length.
     */
    public fun encode(delta: FloatArray, spec: WeightSpec, rounding: Rounding): ByteArray

    /**
     * The finite vector that [body] stands for, the same on every machine. Throws Damaged
     * (`truncated_body`, `payload_too_large`, `invalid_encoding`, `non_finite_delta`) or Unfit
     * (`spec_mismatch`).
     */
    public fun decode(body: ByteArray, spec: WeightSpec): FloatArray

    public companion object {
        /** The codec of this name; throws Unfit (`unknown_codec`). */
        public fun named(name: String): Codec = Codecs.named(name)
    }
}

/** The codecs that this library has. */
public object Codecs {
    private val plain = listOf(Float32, Float16, Integers.int8, Integers.int4).associateBy { it.name }

    /** For `Capabilities.codecs` of a check-in; `topk` stands for every fraction. */
    public val offered: List<String> = (plain.keys + "topk").flatMap { listOf(it, it + Zlib.SUFFIX) }

    private val topk = Regex("topk:(0\\.[0-9]{0,5}[1-9])")

    internal fun named(name: String): Codec {
        val inner = plainNamed(name.removeSuffix(Zlib.SUFFIX))
        return if (name.endsWith(Zlib.SUFFIX)) Framed(inner) else inner
    }

    private fun plainNamed(name: String): Codec =
        plain[name] ?: topk.matchEntire(name)?.let { TopK(it.groupValues[1]) }
            ?: throw Unfit("unknown_codec", "got ${quoted(name.take(64))}, expected one of $offered; give it up")
}

/** Checkpoints: all weights of a model as they travel. */
public object Checkpoint {
    /**
     * The weights in [body]. Throws Damaged (`truncated_body`, `payload_too_large`, `non_finite_delta`)
     * or Unfit (`spec_mismatch`).
     */
    public fun decode(body: ByteArray, spec: WeightSpec): FloatArray = Float32.decode(body, spec)

    /** The length in bytes of every checkpoint of this layout. */
    public fun bytes(spec: WeightSpec): Int = Float32.maxBytes(spec)
}

internal fun requireFinite(vector: FloatArray) {
    val place = vector.indices.firstOrNull { !vector[it].isFinite() } ?: return
    throw Damaged("non_finite_delta", "element $place is ${vector[place]}, expected finite ones; drop these weights")
}

internal fun invalidEncoding(message: String, cause: Throwable? = null): Damaged =
    Damaged("invalid_encoding", message, cause)
