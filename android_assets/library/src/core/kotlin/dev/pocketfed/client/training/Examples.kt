package dev.pocketfed.client.training

/** The raw values of one input of one example, flat, in the order of the tensor's row. */
public sealed class Values {
    public abstract val size: Int

    /** Unsigned bytes, as images have them. */
    public class Bytes(public val raw: ByteArray) : Values() {
        override val size: Int get() = raw.size
    }

    public class Ints(public val raw: IntArray) : Values() {
        override val size: Int get() = raw.size
    }

    public class Floats(public val raw: FloatArray) : Values() {
        override val size: Int get() = raw.size
    }
}

/**
 * What a model learns from: raw values by the name of the input, `x` and `y`, or `x_NAME` and `y_NAME` for
 * a model with several. The manifest's `input_scale` is applied when a batch is made.
 */
public class Example(public val inputs: Map<String, Values>)

/** The examples of this phone at one moment. One thread at a time. */
public interface ExampleStore : AutoCloseable {
    public val count: Int

    /** All of them, [count] in number, in the same order each time. Throws IOException. */
    public fun examples(): Iterator<Example>
}

/** What an app gives a trainer: opens its examples as they are now. */
public fun interface ExampleSource {
    public fun open(): ExampleStore
}
