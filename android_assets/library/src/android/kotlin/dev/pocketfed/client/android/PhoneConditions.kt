package dev.pocketfed.client.android

import android.content.Context
import android.os.SystemClock
import dev.pocketfed.client.participation.Condition
import dev.pocketfed.client.participation.Conditions
import dev.pocketfed.client.protocol.EligibilityRules

/**
 * What this phone lacks, for a client that asks at every step: the framework is asked again once an
 * answer is [freshMs] old, or for other rules.
 */
public class PhoneConditions(context: Context, private val freshMs: Long = 1000) : Conditions {
    private val eligibility = Eligibility(context)
    private var answer: Answer? = null

    @Synchronized
    override fun missing(rules: EligibilityRules): Set<Condition> {
        val now = SystemClock.elapsedRealtime()
        val known = answer?.takeIf { it.rules == rules && now - it.atMs < freshMs }
        return (known ?: asked(rules, now)).missing
    }

    private fun asked(rules: EligibilityRules, now: Long): Answer =
        Answer(rules, now, eligibility.missing(rules)).also { answer = it }

    private class Answer(val rules: EligibilityRules, val atMs: Long, val missing: Set<Condition>)
}
