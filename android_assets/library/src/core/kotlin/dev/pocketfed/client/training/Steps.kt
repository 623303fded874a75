package dev.pocketfed.client.training

import dev.pocketfed.client.protocol.Plan
import java.util.Random

/** One step of a pass: the [places] of its examples, and its [seed]. */
internal class Step(val places: List<Int>, val seed: Int)

/**
 * All chance of one piece of work, drawn from its key: the same key gives the same examples, orders and
 * seeds again, on any phone. Keys are of one assignment each, so no two phones share them.
 */
internal class Draw(keyDigest: Long) {
    private val random = Random(keyDigest)

    /** Which of [count] examples take part, at most [most], rising. */
    fun selection(count: Int, most: Int): List<Int> =
        if (count <= most) (0 until count).toList() else order(count).take(most).sorted()

    /** The steps of the next pass over [count] examples: an order, then a seed for each step. */
    fun pass(count: Int, plan: Plan): List<Step> =
        order(count).chunked(plan.batchSize).map { Step(it, random.nextInt()) }

    private fun order(count: Int): List<Int> {
        val places = IntArray(count) { it }
        for (last in count - 1 downTo 1) {
            val other = random.nextInt(last + 1)
            places[last] = places[other].also { places[other] = places[last] }
        }
        return places.asList()
    }
}
