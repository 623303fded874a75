package dev.pocketfed.client.participation

import dev.pocketfed.client.protocol.EligibilityRules
import dev.pocketfed.client.training.StopSignal

/** Raised when the phone is told to stop, lacks something, or has no time left to compute. */
internal class Watch(private val parts: Parts, private val told: StopSignal) : StopSignal {
    /** What the session needs now: its own rules, and those of the plan it follows. */
    var rules: EligibilityRules = parts.config.wakesWith

    /** The place whose time to compute runs. */
    var computing: Place? = null

    val isTold: Boolean get() = told.isRaised()

    val missing: Set<Condition> get() = parts.conditions.missing(rules)

    val isTooLate: Boolean get() = computing?.let { it.computeLeftS(parts.clock.now()) <= 0 } ?: false

    override fun isRaised(): Boolean = isTold || isTooLate || missing.isNotEmpty()
}
