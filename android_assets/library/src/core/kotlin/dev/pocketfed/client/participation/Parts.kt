package dev.pocketfed.client.participation

import dev.pocketfed.client.training.Learner
import kotlin.random.Random

/** What the parts of one client share. */
internal class Parts(
    val config: ClientConfig,
    val memory: Memory,
    val shelf: Shelf,
    val learner: Learner,
    val encoder: DeltaEncoder,
    val conditions: Conditions,
    val attestor: Attestor?,
    val clock: PhoneClock,
    val random: Random,
    val observe: (Event) -> Unit,
)
