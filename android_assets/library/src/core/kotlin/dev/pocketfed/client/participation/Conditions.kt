package dev.pocketfed.client.participation

import dev.pocketfed.client.protocol.EligibilityRules

/** What a phone may lack. */
public enum class Condition {
    CHARGING,

    /** The screen is off. */
    IDLE,

    /** A network whose bytes cost nothing. */
    UNMETERED,
    BATTERY_NOT_LOW,
    STORAGE_NOT_LOW,

    /** Not throttled for heat, nor about to be. */
    COOL,

    /** What an app asks for besides all these. */
    OTHER,
}

/** The state the phone is in. */
public fun interface Conditions {
    /**
     * What of [rules] does not hold now, and what is wanted under any. Asked at each step of training and
     * between pieces of a transfer, so it is cheap.
     */
    public fun missing(rules: EligibilityRules): Set<Condition>
}

/** Both rules at once: what either asks for. */
internal fun EligibilityRules.and(other: EligibilityRules): EligibilityRules = EligibilityRules(
    charging = charging || other.charging,
    idle = idle || other.idle,
    unmetered = unmetered || other.unmetered,
    minExamples = maxOf(minExamples, other.minExamples),
)
