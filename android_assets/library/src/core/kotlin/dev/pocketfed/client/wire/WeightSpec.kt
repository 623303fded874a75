package dev.pocketfed.client.wire

import dev.pocketfed.client.Unfit
import kotlinx.serialization.Serializable

/** One tensor of the layout: [offset] counts float32 elements from the start of the flat vector. */
@Serializable
public data class WeightEntry(
    public val name: String,
    public val shape: List<Int>,
    public val offset: Int,
    public val trainable: Boolean = true,
) {
    /** Number of elements. Throws Unfit when one vector cannot hold so many. */
    public val size: Int
        get() = elementsOf(shape)
            ?: throw mismatch("${quoted(name)} has no usable size in its shape $shape; export the model again")
}

/**
 * The layout of a weight vector: entries in order, without holes or overlaps.
 *
 * Throws Unfit (`spec_mismatch`) when the entries do not tile the vector or a name occurs twice.
 */
public class WeightSpec(entries: List<WeightEntry>) {
    public val entries: List<WeightEntry> = entries.toList()

    /** Number of float32 elements. */
    public val size: Int

    init {
        var end = 0L
        for (entry in this.entries) {
            if (entry.offset.toLong() != end) {
                throw mismatch("${quoted(entry.name)} starts at ${entry.offset}, expected $end; export the model again")
            }
            end += entry.size
        }
        if (end > LARGEST_SIZE) {
            throw mismatch("the layout has $end elements, expected at most $LARGEST_SIZE; train fewer weights")
        }
        if (this.entries.distinctBy { it.name }.size != this.entries.size) {
            throw mismatch("two tensors of the layout have the same name; rename one and export the model again")
        }
        size = end.toInt()
    }

    override fun equals(other: Any?): Boolean = other is WeightSpec && other.entries == entries

    override fun hashCode(): Int = entries.hashCode()

    /** Throws Unfit unless [vector] has an element for each of this layout. */
    internal fun requireLength(vector: FloatArray) {
        if (vector.size != size) {
            throw mismatch("got a vector of ${vector.size} elements, expected $size; take the one of this model")
        }
    }

    private companion object {
        /** So that the vector's bytes, and a header before them, can be counted in an Int. */
        const val LARGEST_SIZE = (Int.MAX_VALUE - Container.MAX_HEADER_BYTES) / Float.SIZE_BYTES
    }
}

/** How many elements a tensor of this shape has; null when a side is negative or an Int cannot count them. */
internal fun elementsOf(shape: List<Int>): Int? {
    if (shape.any { it < 0 }) return null
    if (0 in shape) return 0
    var elements = 1L
    for (side in shape) {
        elements *= side
        if (elements > Int.MAX_VALUE) return null
    }
    return elements.toInt()
}

internal fun mismatch(message: String): Unfit = Unfit("spec_mismatch", message)

internal fun quoted(name: String): String = "'$name'"
